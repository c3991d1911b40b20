/* What the kernels share: the product of a few tiles' channels with a block of weights, and the work of threads.

   Built by ofhkit/ops/native.py at run time; threads are those of the OpenMP runtime that torch has loaded. */

#include <string.h>

#if defined(__AVX512F__)
enum { LANES = 16, TILES = 8 };
#else
enum { LANES = 8, TILES = 4 };
#endif
enum { BLOCK = 2 * LANES, MAX_CHANNELS = 4096 };

typedef float vec __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef int ivec __attribute__((vector_size(4 * LANES)));

#define INLINE static inline __attribute__((always_inline))
#define LOAD(address) (*(const vec *)(address))
#define STORE(address) (*(vec *)(address))

typedef struct job {
    void (*run)(const struct job *, float *scratch, long image, long strip, long group);
    const float *x, *weight, *bias, *skip;
    float *y, *scratch;
    long height, width, in, out, rows, strips, groups, tasks, room;
    int relu, threads;
    long next;
} job;

extern void GOMP_parallel(void (*)(void *), void *, unsigned, unsigned);
extern int omp_get_thread_num(void);

INLINE long max(long a, long b) { return a > b ? a : b; }
INLINE long min(long a, long b) { return a < b ? a : b; }

/* Keeps what is no number. */
INLINE vec rectified(vec v) { return (vec)((ivec)v & ~(ivec)(v < (vec){0})); }

INLINE void multiply(vec sum[TILES][2], const float *a, long in, const float *weight) {
    for (long k = 0; k < in; k++) {
        vec w0 = LOAD(weight + k * BLOCK), w1 = LOAD(weight + k * BLOCK + LANES);
#pragma GCC unroll 8
        for (int m = 0; m < TILES; m++) {
            vec pixel = a[m * in + k] - (vec){0};
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
            sum[m][n] = first ? LOAD(first + m * BLOCK + n * LANES) : (vec){0};
            if (second) sum[m][n] += LOAD(second + m * BLOCK + n * LANES);
        }
}

INLINE void product(const float *a, long in, const float *weight, const float *first, float *out) {
    vec sum[TILES][2];
    start(sum, first, 0);
    multiply(sum, a, in, weight);
#pragma GCC unroll 8
    for (int m = 0; m < TILES; m++)
#pragma GCC unroll 2
        for (int n = 0; n < 2; n++) STORE(out + m * BLOCK + n * LANES) = sum[m][n];
}

static void work(void *argument) {
    job *j = argument;
    float *scratch = j->scratch + (j->threads > 1 ? omp_get_thread_num() : 0) * j->room;
    long task;
    while ((task = __atomic_fetch_add(&j->next, 1, __ATOMIC_RELAXED)) < j->tasks)
        j->run(j, scratch, task / j->groups / j->strips, task / j->groups % j->strips, task % j->groups);
}

INLINE void share(job *j) {
    j->threads = (int)min(j->threads, j->tasks);
    if (j->threads > 1)
        GOMP_parallel(work, j, (unsigned)j->threads, 0);
    else
        work(j);
}
