/* Nearest x2, then a 3x3 convolution, bias and ReLU, channels last, in float32, with 25 products for 2x2 input pixels.

   Along one axis a tile is the input pixels l, m, r (m at an even position 2t) and the outputs 4t-1 ... 4t+2:
       S m + (w0+w1)(l-m),  S m + w0 (l-m),  S m + w2 (r-m),  S m + (w1+w2)(r-m),   S = w0+w1+w2:
   five products. In two dimensions this makes 25 products for 16 outputs, where the phases need 64 and the convolution
   of the enlarged map 144. Every product is one matrix product (tiles x channels by channels x outputs) that starts
   from the sums it is to be added to, so nothing is combined afterwards. */

#include "kernel.h"

enum { PANELS = 9, PRODUCTS = 25 };

static long across(long size) { return size / 2 + 1; }

/* The tiles [first, last) of which output p, at 4t-1+p, lies inside an output of 2*size. */
static long first(int p) { return p == 0; }
static long last(int p, long size) { return 2 * size < p ? 0 : (2 * size - p) / 4 + 1; }

/* The nine products of (m, l-m, r-m) along both axes, for the tile rows [top, bottom). */
static void transform(const job *j, const float *x, float *panels, long size, long top, long bottom) {
    static const float zero[MAX_CHANNELS];
    float *d = panels;
    for (long row = top; row < bottom; row++)
        for (long tile = 0; tile < across(j->width); tile++) {
            const float *near[3][3];
            for (int a = 0; a < 3; a++)
                for (int b = 0; b < 3; b++) {
                    long v = 2 * row + a - 1, h = 2 * tile + b - 1;
                    int inside = v >= 0 && v < j->height && h >= 0 && h < j->width;
                    near[a][b] = inside ? x + (v * j->width + h) * j->in : zero;
                }
            for (long c = 0; c < j->in; c += LANES, d += LANES) {
                vec part[3][3];
#pragma GCC unroll 3
                for (int a = 0; a < 3; a++) {
                    vec middle = LOAD(near[a][1] + c);
                    part[a][0] = middle;
                    part[a][1] = LOAD(near[a][0] + c) - middle;
                    part[a][2] = LOAD(near[a][2] + c) - middle;
                }
#pragma GCC unroll 3
                for (int b = 0; b < 3; b++) {
                    STORE(d + b * size) = part[1][b];
                    STORE(d + (3 + b) * size) = part[0][b] - part[1][b];
                    STORE(d + (6 + b) * size) = part[2][b] - part[1][b];
                }
            }
        }
}

typedef struct area { long top, bottom, left, right; } area;

/* The product of the tiles of an area of the strip: their channels in `panel`, the sums they start from (or null;
   `step` floats from tile to tile in the first), and where the results go, `down` and `aside` floats apart. */
static void over(const job *j, area t, const float *panel, const float *weight, const float *first, long step,
                 const float *second, float *out, long down, long aside, int relu) {
    batch b;
    long count = 0;
    b.first[0] = first, b.second[0] = second;
    for (long row = t.top; row < t.bottom; row++)
        for (long tile = t.left; tile < t.right; tile++) {
            long at = row * across(j->width) + tile;
            b.a[count] = panel + at * j->in;
            if (first) b.first[count] = first + at * step;
            if (second) b.second[count] = second + at * BLOCK;
            b.out[count++] = out + row * down + tile * aside;
            if (count == TILES) product(&b, count, j->in, 1, weight, BLOCK, relu), count = 0;
        }
    if (count) product(&b, count, j->in, 1, weight, BLOCK, relu);
}

static void strip(const job *j, float *scratch, long image, long strip, long group) {
    long wide = across(j->width), blocks = j->out / BLOCK, top = strip * j->rows;
    long rows = min(j->rows, across(j->height) - top), line = wide * BLOCK;
    long near = apart(j->rows * wide * j->in), far = apart(j->rows * wide * BLOCK);
    float *sums = scratch + PANELS * near, *vertical = sums + far, *horizontal = sums + 5 * far;
    float *y = j->y + image * 4 * j->height * j->width * j->out;
    area all = {0, rows, 0, wide};
    transform(j, j->x + image * j->height * j->width * j->in, scratch, near, top, top + rows);
    for (long block = group * blocks / j->groups; block < (group + 1) * blocks / j->groups; block++) {
        const float *weight = j->weight + block * PRODUCTS * j->in * BLOCK;
#define PANEL(a, b) (scratch + (3 * (a) + (b)) * near)
#define WEIGHT(product) (weight + (product) * j->in * BLOCK)
        over(j, all, PANEL(0, 0), WEIGHT(0), j->bias + block * BLOCK, 0, 0, sums, line, BLOCK, 0);
        for (int p = 0; p < 4; p++) {
            area inner = {max(0, first(p) - top), min(rows, last(p, j->height) - top), 0, wide};
            over(j, inner, PANEL(1 + p / 2, 0), WEIGHT(1 + p), sums, BLOCK, 0, vertical + p * far, line, BLOCK, 0);
            inner = (area){0, rows, first(p), last(p, j->width)};
            over(j, inner, PANEL(0, 1 + p / 2), WEIGHT(5 + p), 0, 0, 0, horizontal + p * far, line, BLOCK, 0);
        }
        for (int p = 0; p < 4; p++)
            for (int q = 0; q < 4; q++) {
                area inner = {max(0, first(p) - top), min(rows, last(p, j->height) - top), first(q), last(q, j->width)};
                long at = (4 * top - 1 + p) * 2 * j->width - 1 + q;
                over(j, inner, PANEL(1 + p / 2, 1 + q / 2), WEIGHT(9 + 4 * p + q), vertical + p * far, BLOCK,
                     horizontal + q * far, y + at * j->out + block * BLOCK, 8 * j->width * j->out, 4 * j->out, j->relu);
            }
    }
}

long ofhkit_block(void) { return BLOCK; }

/* Floats of working memory that one thread needs. */
long ofhkit_upsample_conv_room(long width, long in, long rows) {
    return PANELS * (apart(rows * across(width) * in) + apart(rows * across(width) * BLOCK));
}

/* x (count, height, width, in) -> y (count, 2 height, 2 width, out); weight (out / BLOCK, 25, in, BLOCK); `rows` tile
   rows at a time, the output channels in `groups`; `in` and `out` are multiples of BLOCK, `in` at most MAX_CHANNELS. */
void ofhkit_upsample_conv(const float *x, const float *weight, const float *bias, float *y, float *scratch, long count,
                          long height, long width, long in, long out, long rows, long groups, int relu, int threads) {
    long strips = (across(height) + rows - 1) / rows, room = ofhkit_upsample_conv_room(width, in, rows);
    job j = {.run = strip, .x = x, .weight = weight, .bias = bias, .y = y, .scratch = scratch, .height = height,
             .width = width, .in = in, .out = out, .rows = rows, .strips = strips, .groups = groups,
             .tasks = count * strips * groups, .room = room, .relu = relu, .threads = threads};
    share(&j);
}

/* The gradients of the 25 products, `size` floats apart, from the output's: each is a sum over outputs. */
static void transform_gradient(const job *j, const float *grad, float *panels, long size, long top, long bottom) {
    static const float zero[MAX_CHANNELS];
    float *d = panels;
    for (long row = top; row < bottom; row++)
        for (long tile = 0; tile < across(j->width); tile++) {
            const float *near[4][4];
            for (int p = 0; p < 4; p++)
                for (int q = 0; q < 4; q++) {
                    long v = 4 * row - 1 + p, h = 4 * tile - 1 + q;
                    int inside = v >= 0 && v < 2 * j->height && h >= 0 && h < 2 * j->width;
                    near[p][q] = inside ? grad + (v * 2 * j->width + h) * j->out : zero;
                }
            for (long c = 0; c < j->out; c += LANES, d += LANES) {
                vec rows[4] = {{0}}, columns[4] = {{0}};
#pragma GCC unroll 4
                for (int p = 0; p < 4; p++)
#pragma GCC unroll 4
                    for (int q = 0; q < 4; q++) {
                        vec y = LOAD(near[p][q] + c);
                        rows[p] += y, columns[q] += y;
                        STORE(d + (9 + 4 * p + q) * size) = y;
                    }
                STORE(d) = rows[0] + rows[1] + rows[2] + rows[3];
                for (int p = 0; p < 4; p++)
                    STORE(d + (1 + p) * size) = rows[p], STORE(d + (5 + p) * size) = columns[p];
            }
        }
}

/* The panel that product k reads. */
static int panel(int k) {
    int p = k > 8 ? 1 + (k - 9) / 4 : k < 5 ? k : 0, q = k > 8 ? 1 + (k - 9) % 4 : k < 5 ? 0 : k - 4;
    return 3 * ((p + 1) / 2) + (q + 1) / 2;
}

/* Adds one block of channels of the nine panels' gradients to the pixels that they were made of. */
static void scatter(const job *j, const float *sums, long size, float *x, long row, long tile) {
    for (long lane = 0; lane < BLOCK; lane += LANES) {
        vec part[3][3]; /* by row: the pixels above, at and below the middle; by column: still m, l - m, r - m */
#pragma GCC unroll 3
        for (int b = 0; b < 3; b++) {
            vec m = LOAD(sums + b * size + lane);
            part[0][b] = LOAD(sums + (3 + b) * size + lane), part[2][b] = LOAD(sums + (6 + b) * size + lane);
            part[1][b] = m - part[0][b] - part[2][b];
        }
        for (int a = 0; a < 3; a++) {
            vec pixel[3] = {part[a][1], part[a][0] - part[a][1] - part[a][2], part[a][2]};
            for (int b = 0; b < 3; b++) {
                long v = 2 * row + a - 1, h = 2 * tile + b - 1;
                if (v >= 0 && v < j->height && h >= 0 && h < j->width)
                    STORE(x + (v * j->width + h) * j->in + lane) += pixel[b];
            }
        }
    }
}

/* All strips of an image, one after another, for neighbours share pixels. */
static void gradient_image(const job *j, float *scratch, long image, long strip, long group) {
    long wide = across(j->width), size = j->height * j->width, weights = j->in * j->out;
    long near = apart(j->rows * wide * j->in), far = apart(j->rows * wide * j->out);
    long apart_ = apart(j->rows * wide * BLOCK);
    float *grads = scratch + PANELS * near, *panels = grads + PRODUCTS * far, *x = 0;
    if (j->y) x = memset(j->y + image * size * j->in, 0, sizeof(float) * size * j->in);
    for (long top = 0; top < across(j->height); top += j->rows) {
        long bottom = min(top + j->rows, across(j->height)), count = (bottom - top) * wide;
        transform_gradient(j, j->grad + image * 4 * size * j->out, grads, far, top, bottom);
        if (j->sums) {
            float *sums = j->sums + number(j, scratch) * PRODUCTS * weights;
            transform(j, j->x + image * size * j->in, scratch, near, top, bottom);
            for (int k = 0; k < PRODUCTS; k++)
                outer(scratch + panel(k) * near, grads + k * far, count, j->in, j->out, sums + k * weights);
        }
        for (long block = 0; x && block < j->in / BLOCK; block++) {
            int begun[PANELS] = {0};
            for (int k = 0; k < PRODUCTS; k++) {
                float *out = panels + panel(k) * apart_;
                forward(grads + k * far, count, j->out, j->weight + (block * PRODUCTS + k) * j->out * BLOCK,
                        begun[panel(k)] ? out : 0, out);
                begun[panel(k)] = 1;
            }
            for (long row = top; row < bottom; row++)
                for (long tile = 0; tile < wide; tile++)
                    scatter(j, panels + ((row - top) * wide + tile) * BLOCK, apart_, x + block * BLOCK, row, tile);
        }
    }
}

long ofhkit_upsample_conv_gradient_room(long width, long in, long out, long rows) {
    long tiles = rows * across(width);
    return PANELS * (apart(tiles * in) + apart(tiles * BLOCK)) + PRODUCTS * apart(tiles * out);
}

/* From the output's gradient (count, 2 height, 2 width, out): x's (count, height, width, in), by the transposed weights
   (in / BLOCK, 25, out, BLOCK), and the weights', added to sums (threads, 25, in, out); each may be null. */
void ofhkit_upsample_conv_gradient(const float *x, const float *grad, const float *weight, float *grad_x, float *sums,
                                   float *scratch, long count, long height, long width, long in, long out, long rows,
                                   int threads) {
    long room = ofhkit_upsample_conv_gradient_room(width, in, out, rows);
    job j = {.run = gradient_image, .x = x, .grad = grad, .weight = weight, .y = grad_x, .sums = sums,
             .scratch = scratch, .height = height, .width = width, .in = in, .out = out, .rows = rows, .strips = 1,
             .groups = 1, .tasks = count, .room = room, .threads = threads};
    share(&j);
}
