/* Nearest x2, then a 3x3 convolution, bias and ReLU, channels last, in float32, with 25 products for 2x2 input pixels.

   Along one axis a tile is the input pixels l, m, r (m at an even position 2t) and the outputs 4t-1 ... 4t+2:
       S m + (w0+w1)(l-m),  S m + w0 (l-m),  S m + w2 (r-m),  S m + (w1+w2)(r-m),   S = w0+w1+w2:
   five products. In two dimensions this makes 25 products for 16 outputs, where the phases need 64 and the convolution
   of the enlarged map 144. Every product is one matrix product (tiles x channels by channels x outputs) that starts
   from the sums it is to be added to, so nothing is combined afterwards.

   Built by ofhkit/ops/native.py at run time; threads are those of the OpenMP runtime that torch has loaded. */

#include <string.h>

#if defined(__AVX512F__)
enum { LANES = 16, TILES = 8 };
#else
enum { LANES = 8, TILES = 4 };
#endif
enum { BLOCK = 2 * LANES, PANELS = 9, PRODUCTS = 25, MAX_CHANNELS = 4096 };

typedef float vec __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef int ivec __attribute__((vector_size(4 * LANES)));

extern void GOMP_parallel(void (*)(void *), void *, unsigned, unsigned);
extern int omp_get_thread_num(void);

typedef struct {
    const float *x, *weight, *bias;
    float *y, *scratch;
    long height, width, in, out, rows, strips, groups, tasks, next, room;
    int relu, threads;
} job;

#define INLINE static inline __attribute__((always_inline))
INLINE void multiply(vec sum[TILES][2], const float *a, long stride, const float *weight) {
    for (long k = 0; k < stride; k++) {
        vec w0 = *(const vec *)(weight + k * BLOCK), w1 = *(const vec *)(weight + k * BLOCK + LANES);
#pragma GCC unroll 8
        for (int m = 0; m < TILES; m++) {
            vec pixel = a[m * stride + k] - (vec){0};
            sum[m][0] += pixel * w0;
            sum[m][1] += pixel * w1;
        }
    }
}

/* The sums start from zero, from one earlier result, or from two. */
INLINE void start(vec sum[TILES][2], const float *first, const float *second) {
#pragma GCC unroll 8
    for (int m = 0; m < TILES; m++)
#pragma GCC unroll 2
        for (int n = 0; n < 2; n++) {
            sum[m][n] = first ? *(const vec *)(first + m * BLOCK + n * LANES) : (vec){0};
            if (second) sum[m][n] += *(const vec *)(second + m * BLOCK + n * LANES);
        }
}

INLINE void keep(const float *a, long stride, const float *weight, const float *first, float *out) {
    vec sum[TILES][2];
    start(sum, first, 0);
    multiply(sum, a, stride, weight);
#pragma GCC unroll 8
    for (int m = 0; m < TILES; m++)
#pragma GCC unroll 2
        for (int n = 0; n < 2; n++) *(vec *)(out + m * BLOCK + n * LANES) = sum[m][n];
}

static void from_zero(const float *a, long stride, const float *weight, float *out) {
    keep(a, stride, weight, 0, out);
}

static void from_sum(const float *a, long stride, const float *weight, const float *first, float *out) {
    keep(a, stride, weight, first, out);
}

static void finish(const float *a, long stride, const float *weight, const float *first, const float *second,
                   float *y, long step, long count, int relu) {
    vec sum[TILES][2];
    start(sum, first, second);
    multiply(sum, a, stride, weight);
#pragma GCC unroll 8
    for (int m = 0; m < TILES; m++)
#pragma GCC unroll 2
        for (int n = 0; n < 2; n++) {
            if (relu) sum[m][n] = (vec)((ivec)sum[m][n] & ~(ivec)(sum[m][n] < (vec){0}));
            if (m < count) *(vec *)(y + m * step + n * LANES) = sum[m][n];
        }
}

static long padded(long width) { return (width / 2 + TILES) / TILES * TILES + 1; }
static long max(long a, long b) { return a > b ? a : b; }
static long min(long a, long b) { return a < b ? a : b; }

/* The tiles [first, last) of which output p, at 4t-1+p, lies inside an output of 2*size. */
static long first(int p) { return p == 0; }
static long last(int p, long size) { return 2 * size < p ? 0 : (2 * size - p) / 4 + 1; }

/* The nine products of (m, l-m, r-m) along both axes, for the tile rows [top, bottom). */
static void transform(const job *j, const float *x, float *panels, long top, long bottom) {
    static const float zero[MAX_CHANNELS];
    long wide = padded(j->width), size = j->rows * wide * j->in;
    for (long row = top; row < bottom; row++) {
        float *line = panels + (row - top) * wide * j->in;
        for (long tile = 0; tile <= j->width / 2; tile++) {
            const float *near[3][3];
            for (int a = 0; a < 3; a++)
                for (int b = 0; b < 3; b++) {
                    long v = 2 * row + a - 1, h = 2 * tile + b - 1;
                    int inside = v >= 0 && v < j->height && h >= 0 && h < j->width;
                    near[a][b] = inside ? x + (v * j->width + h) * j->in : zero;
                }
            for (long c = 0; c < j->in; c += LANES) {
                float *d = line + tile * j->in + c;
                vec part[3][3];
                for (int a = 0; a < 3; a++) {
                    vec middle = *(const vec *)(near[a][1] + c);
                    part[a][0] = middle;
                    part[a][1] = *(const vec *)(near[a][0] + c) - middle;
                    part[a][2] = *(const vec *)(near[a][2] + c) - middle;
                }
                for (int b = 0; b < 3; b++) {
                    *(vec *)(d + b * size) = part[1][b];
                    *(vec *)(d + (3 + b) * size) = part[0][b] - part[1][b];
                    *(vec *)(d + (6 + b) * size) = part[2][b] - part[1][b];
                }
            }
        }
        for (int panel = 0; panel < PANELS; panel++)
            for (long k = (j->width / 2 + 1) * j->in; k < wide * j->in; k++) line[panel * size + k] = 0;
    }
}

/* One block of output channels of the tile rows [top, bottom). */
static void products(const job *j, const float *panels, float *sums, float *y, long block, long top, long bottom) {
    long in = j->in, wide = padded(j->width), size = j->rows * wide * in, room = j->rows * wide * BLOCK;
    long columns = (j->width + 1) / 2, centred = min(bottom, (j->height + 1) / 2);
    const float *weight = j->weight + block * PRODUCTS * in * BLOCK, *bias = j->bias + block * BLOCK;
    float *centre = sums, *vertical = sums + room, *horizontal = sums + 5 * room;
#define AT(row, tile) (((row) - top) * wide + (tile))
#define PANEL(a, b, row, tile) (panels + (3 * (a) + (b)) * size + AT(row, tile) * in)
#define WEIGHT(product) (weight + (product) * in * BLOCK)
    for (long row = top; row < bottom; row++) {
        for (long tile = 0; tile < wide; tile++) memcpy(centre + AT(row, tile) * BLOCK, bias, sizeof(float) * BLOCK);
        for (long tile = 0; row < centred && tile < columns; tile += TILES) {
            float *out = centre + AT(row, tile) * BLOCK;
            from_sum(PANEL(0, 0, row, tile), in, WEIGHT(0), out, out);
        }
    }
    for (int p = 0; p < 4; p++) {
        float *v = vertical + p * room, *h = horizontal + p * room;
        for (long row = max(top, first(p)); row < min(bottom, last(p, j->height)); row++) {
            for (long tile = 0; tile < columns; tile += TILES)
                from_sum(PANEL(1 + p / 2, 0, row, tile), in, WEIGHT(1 + p), centre + AT(row, tile) * BLOCK,
                         v + AT(row, tile) * BLOCK);
            if (j->width % 2 == 0) memcpy(v + AT(row, columns) * BLOCK, bias, sizeof(float) * BLOCK);
        }
        for (long row = top; row < centred; row++)
            for (long tile = first(p); tile < last(p, j->width); tile += TILES)
                from_zero(PANEL(0, 1 + p / 2, row, tile), in, WEIGHT(5 + p), h + AT(row, tile) * BLOCK);
        if (centred < bottom) memset(h + AT(centred, 0) * BLOCK, 0, sizeof(float) * wide * BLOCK);
    }
    for (int p = 0; p < 4; p++)
        for (int q = 0; q < 4; q++)
            for (long row = max(top, first(p)); row < min(bottom, last(p, j->height)); row++)
                for (long tile = first(q), end = last(q, j->width); tile < end; tile += TILES)
                    finish(PANEL(1 + p / 2, 1 + q / 2, row, tile), in, WEIGHT(9 + 4 * p + q),
                           vertical + p * room + AT(row, tile) * BLOCK, horizontal + q * room + AT(row, tile) * BLOCK,
                           y + ((4 * row - 1 + p) * 2 * j->width + 4 * tile - 1 + q) * j->out + block * BLOCK,
                           4 * j->out, end - tile, j->relu);
}

static void work(void *argument) {
    job *j = argument;
    float *panels = j->scratch + (j->threads > 1 ? omp_get_thread_num() : 0) * j->room;
    float *sums = panels + PANELS * j->rows * padded(j->width) * j->in;
    long task, blocks = j->out / BLOCK, tiles = j->height / 2 + 1;
    while ((task = __atomic_fetch_add(&j->next, 1, __ATOMIC_RELAXED)) < j->tasks) {
        long group = task % j->groups, strip = task / j->groups % j->strips, image = task / j->groups / j->strips;
        long top = strip * j->rows, bottom = min(top + j->rows, tiles);
        transform(j, j->x + image * j->height * j->width * j->in, panels, top, bottom);
        for (long block = group * blocks / j->groups; block < (group + 1) * blocks / j->groups; block++)
            products(j, panels, sums, j->y + image * 4 * j->height * j->width * j->out, block, top, bottom);
    }
}

long ofhkit_block(void) { return BLOCK; }

/* Floats of working memory that one thread needs. */
long ofhkit_upsample_room(long width, long in, long rows) {
    return (rows * padded(width) * PANELS * (in + BLOCK) + 15) / 16 * 16;
}

/* x (count, height, width, in) -> y (count, 2 height, 2 width, out); weight (out / BLOCK, 25, in, BLOCK); `rows` tile
   rows at a time, the output channels in `groups`; `in` and `out` are multiples of BLOCK, `in` at most MAX_CHANNELS. */
void ofhkit_upsample_conv(const float *x, const float *weight, const float *bias, float *y, float *scratch, long count,
                          long height, long width, long in, long out, long rows, long groups, int relu, int threads) {
    long strips = (height / 2 + rows) / rows, tasks = count * strips * groups;
    threads = (int)min(threads, tasks);
    job j = {x, weight, bias, y, scratch, height, width, in, out, rows, strips, groups, tasks, 0,
             ofhkit_upsample_room(width, in, rows), relu, threads};
    if (threads > 1)
        GOMP_parallel(work, &j, (unsigned)threads, 0);
    else
        work(&j);
}
