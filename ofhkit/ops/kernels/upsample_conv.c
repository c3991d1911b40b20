/* Nearest x2, then a 3x3 convolution, bias and ReLU, channels last, in float32, with 25 products for 2x2 input pixels.

   Along one axis a tile is the input pixels l, m, r (m at an even position 2t) and the outputs 4t-1 ... 4t+2:
       S m + (w0+w1)(l-m),  S m + w0 (l-m),  S m + w2 (r-m),  S m + (w1+w2)(r-m),   S = w0+w1+w2:
   five products. In two dimensions this makes 25 products for 16 outputs, where the phases need 64 and the convolution
   of the enlarged map 144. Every product is one matrix product (tiles x channels by channels x outputs) that starts
   from the sums it is to be added to, so nothing is combined afterwards. */

#include "kernel.h"

enum { PANELS = 9, PRODUCTS = 25 };

static void from_zero(const float *a, long in, const float *weight, float *out) {
    product(a, in, weight, 0, out);
}

static void from_sum(const float *a, long in, const float *weight, const float *first, float *out) {
    product(a, in, weight, first, out);
}

static void finish(const float *a, long in, const float *weight, const float *first, const float *second,
                   float *y, long step, long count, int relu) {
    vec sum[TILES][2];
    start(sum, first, second);
    multiply(sum, a, in, weight);
#pragma GCC unroll 8
    for (int m = 0; m < TILES; m++)
#pragma GCC unroll 2
        for (int n = 0; n < 2; n++) {
            if (relu) sum[m][n] = rectified(sum[m][n]);
            if (m < count) STORE(y + m * step + n * LANES) = sum[m][n];
        }
}

static long padded(long width) { return (width / 2 + TILES) / TILES * TILES + 1; }

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
                    vec middle = LOAD(near[a][1] + c);
                    part[a][0] = middle;
                    part[a][1] = LOAD(near[a][0] + c) - middle;
                    part[a][2] = LOAD(near[a][2] + c) - middle;
                }
                for (int b = 0; b < 3; b++) {
                    STORE(d + b * size) = part[1][b];
                    STORE(d + (3 + b) * size) = part[0][b] - part[1][b];
                    STORE(d + (6 + b) * size) = part[2][b] - part[1][b];
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

static void strip(const job *j, float *scratch, long image, long strip, long group) {
    long blocks = j->out / BLOCK, top = strip * j->rows, bottom = min(top + j->rows, j->height / 2 + 1);
    float *sums = scratch + PANELS * j->rows * padded(j->width) * j->in;
    transform(j, j->x + image * j->height * j->width * j->in, scratch, top, bottom);
    for (long block = group * blocks / j->groups; block < (group + 1) * blocks / j->groups; block++)
        products(j, scratch, sums, j->y + image * 4 * j->height * j->width * j->out, block, top, bottom);
}

long ofhkit_block(void) { return BLOCK; }

/* Floats of working memory that one thread needs. */
long ofhkit_upsample_conv_room(long width, long in, long rows) {
    return (rows * padded(width) * PANELS * (in + BLOCK) + 15) / 16 * 16;
}

/* x (count, height, width, in) -> y (count, 2 height, 2 width, out); weight (out / BLOCK, 25, in, BLOCK); `rows` tile
   rows at a time, the output channels in `groups`; `in` and `out` are multiples of BLOCK, `in` at most MAX_CHANNELS. */
void ofhkit_upsample_conv(const float *x, const float *weight, const float *bias, float *y, float *scratch, long count,
                          long height, long width, long in, long out, long rows, long groups, int relu, int threads) {
    long strips = (height / 2 + rows) / rows, room = ofhkit_upsample_conv_room(width, in, rows);
    job j = {strip, x, weight, bias, 0, y, scratch, height, width, in, out, rows, strips, groups,
             count * strips * groups, room, relu, threads, 0};
    share(&j);
}
