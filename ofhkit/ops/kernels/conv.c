/* A 3x3 convolution that keeps the size, bias, skip and ReLU, channels last, in float32, by Winograd's F(4x4, 3x3).

   Along one axis a tile is six input pixels and four outputs. With the points 0, +-r/2, +-r and infinity (r the root of
   two, which rounds less than whole numbers do) `spread` makes six numbers of the pixels, `gather` four outputs of their
   products with the weights, which ofhkit/ops/native_conv.py makes. In two dimensions 36 products give 16 outputs instead
   of 144. */

#include "kernel.h"

enum { SIDE = 6, STEP = 4, PRODUCTS = SIDE * SIDE };
#define ROOT 1.41421356237309504880f

static long across(long size) { return (size + STEP - 1) / STEP; }

INLINE void spread(vec d[SIDE], const vec x[SIDE]) {
    vec u = x[4] - 2 * x[2], v = (x[3] - 2 * x[1]) * (ROOT / 2);
    vec s = x[4] - x[2] / 2, t = (x[3] - x[1] / 2) * ROOT;
    d[0] = x[0] + x[4] - x[2] * 2.5f;
    d[1] = u + v, d[2] = u - v, d[3] = s + t, d[4] = s - t;
    d[5] = x[1] + x[5] - x[3] * 2.5f;
}

INLINE void gather(vec y[STEP], const vec m[SIDE]) {
    vec a = m[1] + m[2], b = m[1] - m[2], c = m[3] + m[4], d = m[3] - m[4];
    y[0] = m[0] + a + c;
    y[1] = b * (ROOT / 2) + d * ROOT;
    y[2] = a / 2 + c * 2;
    y[3] = b * (ROOT / 4) + d * (2 * ROOT) + m[5];
}

/* The 36 panels, `size` floats apart, of the tile rows [top, bottom). */
static void transform(const job *j, const float *x, float *panels, long size, long top, long bottom) {
    static const float zero[MAX_CHANNELS];
    float *out = panels;
    for (long row = top; row < bottom; row++)
        for (long tile = 0; tile < across(j->width); tile++) {
            const float *near[SIDE][SIDE];
            for (int a = 0; a < SIDE; a++)
                for (int b = 0; b < SIDE; b++) {
                    long v = STEP * row + a - 1, h = STEP * tile + b - 1;
                    int inside = v >= 0 && v < j->height && h >= 0 && h < j->width;
                    near[a][b] = inside ? x + (v * j->width + h) * j->in : zero;
                }
            for (long c = 0; c < j->in; c += LANES, out += LANES) {
                vec part[SIDE][SIDE], line[SIDE];
#pragma GCC unroll 6
                for (int b = 0; b < SIDE; b++) {
#pragma GCC unroll 6
                    for (int a = 0; a < SIDE; a++) line[a] = LOAD(near[a][b] + c);
                    spread(part[b], line);
                }
#pragma GCC unroll 6
                for (int a = 0; a < SIDE; a++) {
                    vec d[SIDE];
#pragma GCC unroll 6
                    for (int b = 0; b < SIDE; b++) line[b] = part[b][a];
                    spread(d, line);
#pragma GCC unroll 6
                    for (int b = 0; b < SIDE; b++) STORE(out + (SIDE * a + b) * size) = d[b];
                }
            }
        }
}

/* One block of channels of a tile's outputs, from the products, which lie `size` floats apart. */
static void combine(const job *j, const float *sums, long size, long image, long row, long tile, long channel) {
    for (long lane = 0; lane < BLOCK; lane += LANES) {
        vec part[SIDE][STEP], line[SIDE], bias = LOAD(j->bias + channel + lane);
#pragma GCC unroll 6
        for (int b = 0; b < SIDE; b++) {
#pragma GCC unroll 6
            for (int a = 0; a < SIDE; a++) line[a] = LOAD(sums + (SIDE * a + b) * size + lane);
            gather(part[b], line);
        }
        for (int a = 0; a < min(STEP, j->height - STEP * row); a++) {
            long v = STEP * row + a, h = STEP * tile, half = j->halved;
            long at = ((image * j->height + v) * j->width + h) * j->out + channel + lane;
            const float *skip = j->skip + ((image * j->height + v) >> half) * (j->width >> half) * j->out + channel + lane;
            vec y[STEP];
#pragma GCC unroll 6
            for (int b = 0; b < SIDE; b++) line[b] = part[b][a];
            gather(y, line);
            for (int b = 0; b < min(STEP, j->width - STEP * tile); b++, at += j->out) {
                vec out = y[b] + bias;
                if (j->skip) out += LOAD(skip + ((h + b) >> half) * j->out);
                STORE(j->y + at) = j->relu ? rectified(out) : out;
            }
        }
    }
}

static void strip(const job *j, float *scratch, long image, long strip, long group) {
    long wide = across(j->width), room = wide * j->rows, blocks = j->out / BLOCK;
    long top = strip * j->rows, bottom = min(top + j->rows, across(j->height));
    long near = apart(room * j->in), far = apart(room * BLOCK);
    float *sums = scratch + PRODUCTS * near;
    transform(j, j->x + image * j->height * j->width * j->in, scratch, near, top, bottom);
    for (long block = group * blocks / j->groups; block < (group + 1) * blocks / j->groups; block++) {
        for (long k = 0; k < PRODUCTS; k++)
            forward(scratch + k * near, (bottom - top) * wide, j->in,
                    j->weight + (block * PRODUCTS + k) * j->in * BLOCK, 0, sums + k * far);
        for (long row = top; row < bottom; row++)
            for (long tile = 0; tile < wide; tile++)
                combine(j, sums + ((row - top) * wide + tile) * BLOCK, far, image, row, tile, block * BLOCK);
    }
}

/* Floats of working memory that one thread needs. */
long ofhkit_conv_room(long width, long in, long rows) {
    return PRODUCTS * (apart(across(width) * rows * in) + apart(across(width) * rows * BLOCK));
}

/* x (count, height, width, in) -> y (count, height, width, out), to which `skip` is added before the ReLU; it may be
   null, y itself or, where `halved`, half as large, and enlarged. weight (out / BLOCK, 36, in, BLOCK); the rest as for ofhkit_upsample_conv. */
void ofhkit_conv(const float *x, const float *weight, const float *bias, const float *skip, float *y, float *scratch,
                 long count, long height, long width, long in, long out, long rows, long groups, int relu,
                 int halved, int threads) {
    long strips = (across(height) + rows - 1) / rows, room = ofhkit_conv_room(width, in, rows);
    job j = {.run = strip, .x = x, .weight = weight, .bias = bias, .skip = skip, .y = y, .scratch = scratch,
             .height = height, .width = width, .in = in, .out = out, .rows = rows, .strips = strips,
             .groups = groups, .tasks = count * strips * groups, .room = room, .relu = relu, .halved = halved,
             .threads = threads};
    share(&j);
}

/* What `gather` does, backwards: the gradients of a line's six products from those of its four outputs. */
INLINE void scatter(vec d[SIDE], const vec y[STEP]) {
    vec u = y[0] + y[2] / 2, v = (y[1] + y[3] / 2) * (ROOT / 2);
    vec s = y[0] + y[2] * 2, t = (y[1] + y[3] * 2) * ROOT;
    d[0] = y[0], d[1] = u + v, d[2] = u - v, d[3] = s + t, d[4] = s - t, d[5] = y[3];
}

/* The 36 panels, `size` floats apart, of the output's gradient. */
static void transform_gradient(const job *j, const float *grad, float *panels, long size, long top, long bottom) {
    static const float zero[MAX_CHANNELS];
    float *out = panels;
    for (long row = top; row < bottom; row++)
        for (long tile = 0; tile < across(j->width); tile++) {
            const float *near[STEP][STEP];
            for (int a = 0; a < STEP; a++)
                for (int b = 0; b < STEP; b++) {
                    long v = STEP * row + a, h = STEP * tile + b;
                    near[a][b] = v < j->height && h < j->width ? grad + (v * j->width + h) * j->out : zero;
                }
            for (long c = 0; c < j->out; c += LANES, out += LANES) {
                vec part[STEP][SIDE];
#pragma GCC unroll 4
                for (int b = 0; b < STEP; b++) {
                    vec line[STEP] = {LOAD(near[0][b] + c), LOAD(near[1][b] + c), LOAD(near[2][b] + c),
                                      LOAD(near[3][b] + c)};
                    scatter(part[b], line);
                }
#pragma GCC unroll 6
                for (int a = 0; a < SIDE; a++) {
                    vec line[STEP] = {part[0][a], part[1][a], part[2][a], part[3][a]}, d[SIDE];
                    scatter(d, line);
#pragma GCC unroll 6
                    for (int b = 0; b < SIDE; b++) STORE(out + (SIDE * a + b) * size) = d[b];
                }
            }
        }
}

static void gradient_strip(const job *j, float *scratch, long image, long strip, long group) {
    long wide = across(j->width), room = wide * j->rows, size = j->height * j->width, weights = j->in * j->out;
    long top = strip * j->rows, bottom = min(top + j->rows, across(j->height));
    long near = apart(room * j->in), far = apart(room * j->out);
    float *grads = scratch + PRODUCTS * near, *sums = j->sums + number(j, scratch) * PRODUCTS * weights;
    transform(j, j->x + image * size * j->in, scratch, near, top, bottom);
    transform_gradient(j, j->grad + image * size * j->out, grads, far, top, bottom);
    for (long k = 0; k < PRODUCTS; k++)
        outer(scratch + k * near, grads + k * far, (bottom - top) * wide, j->in, j->out, sums + k * weights);
}

long ofhkit_conv_gradient_room(long width, long in, long out, long rows) {
    return PRODUCTS * (apart(across(width) * rows * in) + apart(across(width) * rows * out));
}

/* Adds to sums (threads, 36, in, out) the gradients of the products' weights, from x (count, height, width, in) and the
   output's gradient (count, height, width, out). */
void ofhkit_conv_gradient(const float *x, const float *grad, float *sums, float *scratch, long count, long height,
                          long width, long in, long out, long rows, int threads) {
    long strips = (across(height) + rows - 1) / rows, room = ofhkit_conv_gradient_room(width, in, out, rows);
    job j = {.run = gradient_strip, .x = x, .grad = grad, .sums = sums, .scratch = scratch, .height = height,
             .width = width, .in = in, .out = out, .rows = rows, .strips = strips, .groups = 1,
             .tasks = count * strips, .room = room, .threads = threads};
    share(&j);
}
