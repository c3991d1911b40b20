/* A 3x3 convolution that keeps the size, bias, skip and ReLU, channels last, in float32, by Winograd's F(2x2, 3x3).

   Along one axis a tile is four input pixels and two outputs: the products of (x0-x2, x1+x2, x2-x1, x1-x3) with
   (w0, (w0+w1+w2)/2, (w0-w1+w2)/2, w2) are m0 ... m3, the outputs m0+m1+m2 and m1-m2-m3. In two dimensions this makes 16
   products for four outputs instead of 36. */

#include "kernel.h"

enum { PRODUCTS = 16 };

static long padded(long width, long rows) { return ((width + 1) / 2 * rows + TILES - 1) / TILES * TILES; }

/* The sixteen panels of the tile rows [top, bottom). */
static void transform(const job *j, const float *x, float *panels, long top, long bottom) {
    static const float zero[MAX_CHANNELS];
    long wide = (j->width + 1) / 2, room = padded(j->width, j->rows), size = room * j->in;
    for (long row = top; row < bottom; row++)
        for (long tile = 0; tile < wide; tile++) {
            const float *near[4][4];
            for (int a = 0; a < 4; a++)
                for (int b = 0; b < 4; b++) {
                    long v = 2 * row + a - 1, h = 2 * tile + b - 1;
                    int inside = v >= 0 && v < j->height && h >= 0 && h < j->width;
                    near[a][b] = inside ? x + (v * j->width + h) * j->in : zero;
                }
            float *d = panels + ((row - top) * wide + tile) * j->in;
            for (long c = 0; c < j->in; c += LANES, d += LANES) {
                vec part[4][4];
#pragma GCC unroll 4
                for (int a = 0; a < 4; a++) {
                    vec x0 = LOAD(near[a][0] + c), x1 = LOAD(near[a][1] + c);
                    vec x2 = LOAD(near[a][2] + c), x3 = LOAD(near[a][3] + c);
                    part[a][0] = x0 - x2, part[a][1] = x1 + x2, part[a][2] = x2 - x1, part[a][3] = x1 - x3;
                }
#pragma GCC unroll 4
                for (int b = 0; b < 4; b++) {
                    STORE(d + b * size) = part[0][b] - part[2][b];
                    STORE(d + (4 + b) * size) = part[1][b] + part[2][b];
                    STORE(d + (8 + b) * size) = part[2][b] - part[1][b];
                    STORE(d + (12 + b) * size) = part[1][b] - part[3][b];
                }
            }
        }
    for (int panel = 0; panel < PRODUCTS; panel++)
        for (long k = (bottom - top) * wide * j->in; k < size; k++) panels[panel * size + k] = 0;
}

/* One block of channels of a tile's four outputs, from the sixteen products that lie `size` apart. */
static void combine(const job *j, const float *sums, long size, long image, long row, long tile, long channel) {
    for (long lane = 0; lane < BLOCK; lane += LANES) {
        vec part[2][4], bias = LOAD(j->bias + channel + lane);
#pragma GCC unroll 4
        for (int b = 0; b < 4; b++) {
            const float *m = sums + b * size + lane;
            vec m1 = LOAD(m + 4 * size), m2 = LOAD(m + 8 * size);
            part[0][b] = LOAD(m) + m1 + m2;
            part[1][b] = m1 - m2 - LOAD(m + 12 * size);
        }
        for (int a = 0; a < 2; a++) {
            vec *m = part[a], out[2] = {m[0] + m[1] + m[2] + bias, m[1] - m[2] - m[3] + bias};
            for (int b = 0; b < 2; b++) {
                long v = 2 * row + a, h = 2 * tile + b;
                if (v >= j->height || h >= j->width) continue;
                long at = ((image * j->height + v) * j->width + h) * j->out + channel + lane;
                if (j->skip) out[b] += LOAD(j->skip + at);
                STORE(j->y + at) = j->relu ? rectified(out[b]) : out[b];
            }
        }
    }
}

static void from_zero(const float *a, long in, const float *weight, float *out) { product(a, in, weight, 0, out); }

static void strip(const job *j, float *scratch, long image, long strip, long group) {
    long wide = (j->width + 1) / 2, room = padded(j->width, j->rows), blocks = j->out / BLOCK;
    long top = strip * j->rows, bottom = min(top + j->rows, (j->height + 1) / 2);
    float *sums = scratch + PRODUCTS * room * j->in;
    transform(j, j->x + image * j->height * j->width * j->in, scratch, top, bottom);
    for (long block = group * blocks / j->groups; block < (group + 1) * blocks / j->groups; block++) {
        for (long k = 0; k < PRODUCTS; k++)
            for (long tile = 0; tile < (bottom - top) * wide; tile += TILES)
                from_zero(scratch + (k * room + tile) * j->in, j->in,
                          j->weight + (block * PRODUCTS + k) * j->in * BLOCK, sums + (k * room + tile) * BLOCK);
        for (long row = top; row < bottom; row++)
            for (long tile = 0; tile < wide; tile++)
                combine(j, sums + ((row - top) * wide + tile) * BLOCK, room * BLOCK, image, row, tile, block * BLOCK);
    }
}

/* Floats of working memory that one thread needs. */
long ofhkit_conv_room(long width, long in, long rows) { return padded(width, rows) * PRODUCTS * (in + BLOCK); }

/* x (count, height, width, in) -> y (count, height, width, out), to which `skip` is added before the ReLU; it may be
   null or y itself. weight (out / BLOCK, 16, in, BLOCK); the rest as for ofhkit_upsample_conv. */
void ofhkit_conv(const float *x, const float *weight, const float *bias, const float *skip, float *y, float *scratch,
                 long count, long height, long width, long in, long out, long rows, long groups, int relu,
                 int threads) {
    long strips = ((height + 1) / 2 + rows - 1) / rows, room = ofhkit_conv_room(width, in, rows);
    job j = {strip, x, weight, bias, skip, y, scratch, height, width, in, out, rows, strips, groups,
             count * strips * groups, room, relu, threads, 0};
    share(&j);
}
