/* What the kernels share: products of a few tiles' channels with a block of weights, and the work of threads.

   Built by ofhkit/ops/jit_c.py at run time; threads are those of the OpenMP runtime that torch has loaded. */

#include <string.h>

#if defined(__AVX512F__) || defined(OFHKIT_WIDE)
enum { LANES = 16, TILES = 8 };
#else
enum { LANES = 8, TILES = 6 }; /* 6 x 2 sums, two weights and a pixel: fifteen of sixteen registers */
#endif
enum { BLOCK = 2 * LANES, MAX_CHANNELS = 4096 };

typedef float vec __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef int ivec __attribute__((vector_size(4 * LANES)));

#define INLINE static inline __attribute__((always_inline))
#define LOAD(address) (*(const vec *)(address))
#define STORE(address) (*(vec *)(address))

typedef struct job {
    void (*run)(const struct job *, float *scratch, long image, long strip, long group);
    const float *x, *weight, *bias, *skip, *grad;
    float *y, *scratch, *sums;
    long height, width, in, out, rows, strips, groups, tasks, room;
    int relu, halved, threads;
    long next;
} job;

/* Tiles that are multiplied together: their channels, the sums they start from (or null), and where the results go. */
typedef struct batch {
    const float *a[TILES], *first[TILES], *second[TILES];
    float *out[TILES];
} batch;

extern void GOMP_parallel(void (*)(void *), void *, unsigned, unsigned);
extern int omp_get_thread_num(void), omp_get_num_threads(void);

INLINE long max(long a, long b) { return a > b ? a : b; }
INLINE long min(long a, long b) { return a < b ? a : b; }

/* Keeps what is no number. */
INLINE vec rectified(vec v) { return (vec)((ivec)v & ~(ivec)(v < (vec){0})); }

/* Floats from one panel to the next: never a multiple of a page, so that panels do not push one another out. */
INLINE long apart(long floats) { return (floats + 1023) / 1024 * 1024 + 16; }

INLINE void multiply(int tiles, const batch *b, long in, long step, const float *weight, long line, int relu) {
    vec sum[TILES][2];
#pragma GCC unroll 8
    for (int m = 0; m < tiles; m++)
#pragma GCC unroll 2
        for (int n = 0; n < 2; n++) {
            sum[m][n] = b->first[0] ? LOAD(b->first[m] + n * LANES) : (vec){0};
            if (b->second[0]) sum[m][n] += LOAD(b->second[m] + n * LANES);
        }
    for (long k = 0; k < in; k++) {
        vec w0 = LOAD(weight + k * line), w1 = LOAD(weight + k * line + LANES);
#pragma GCC unroll 8
        for (int m = 0; m < tiles; m++) {
            vec pixel = b->a[m][k * step] - (vec){0};
            sum[m][0] += pixel * w0;
            sum[m][1] += pixel * w1;
        }
    }
#pragma GCC unroll 8
    for (int m = 0; m < tiles; m++)
#pragma GCC unroll 2
        for (int n = 0; n < 2; n++) STORE(b->out[m] + n * LANES) = relu ? rectified(sum[m][n]) : sum[m][n];
}

/* The product of `count` tiles; the last may be repeated. From channel to channel it is `step` floats in the tiles and
   `line` floats in the weights. */
static void product(batch *b, long count, long in, long step, const float *weight, long line, int relu) {
    long all = count <= 2 ? 2 : count <= 4 ? 4 : TILES;
    for (long m = count; m < all; m++)
        b->a[m] = b->a[m - 1], b->first[m] = b->first[m - 1], b->second[m] = b->second[m - 1], b->out[m] = b->out[m - 1];
    if (all == 2)
        multiply(2, b, in, step, weight, line, relu);
    else if (all == 4)
        multiply(4, b, in, step, weight, line, relu);
    else
        multiply(TILES, b, in, step, weight, line, relu);
}

/* out (count, BLOCK) = [first +] a (count, in) x weight (in, BLOCK) */
INLINE void forward(const float *a, long count, long in, const float *weight, const float *first, float *out) {
    batch b = {.first = {0}, .second = {0}};
    for (long t = 0; t < count; t += TILES) {
        long some = min(TILES, count - t);
        for (long m = 0; m < some; m++) {
            b.a[m] = a + (t + m) * in, b.out[m] = out + (t + m) * BLOCK;
            if (first) b.first[m] = first + (t + m) * BLOCK;
        }
        product(&b, some, in, 1, weight, BLOCK, 0);
    }
}

/* sums (in, out) += the transposed x (count, in) x grad (count, out) */
INLINE void outer(const float *x, const float *grad, long count, long in, long out, float *sums) {
    batch b = {.second = {0}};
    for (long block = 0; block < out; block += BLOCK)
        for (long c = 0; c < in; c += TILES) {
            long some = min(TILES, in - c);
            for (long m = 0; m < some; m++)
                b.a[m] = x + c + m, b.first[m] = b.out[m] = sums + (c + m) * out + block;
            product(&b, some, count, in, grad + block, out, 0);
        }
}

static void work(void *argument) {
    job *j = argument;
    long thread = j->threads > 1 ? omp_get_thread_num() : 0, task = thread;
    float *scratch = j->scratch + thread * j->room;
    /* what is summed is shared out evenly, always alike, so that equal calls give equal bits; else to who is free */
    while ((task = j->sums ? task : __atomic_fetch_add(&j->next, 1, __ATOMIC_RELAXED)) < j->tasks) {
        j->run(j, scratch, task / j->groups / j->strips, task / j->groups % j->strips, task % j->groups);
        task += j->threads > 1 ? omp_get_num_threads() : 1;
    }
}

/* The number of the thread whose working memory this is. */
INLINE long number(const job *j, const float *scratch) { return (scratch - j->scratch) / j->room; }

INLINE void share(job *j) {
    j->threads = (int)min(j->threads, j->tasks);
    if (j->threads > 1)
        GOMP_parallel(work, j, (unsigned)j->threads, 0);
    else
        work(j);
}
