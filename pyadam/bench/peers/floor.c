// The floor: what a step costs in plain C, in one pass over memory (and one over the gradient for its norm).
// All tensors are contiguous. Loops are vectorized and shared by all threads; there is no other trick.

#include <math.h>

typedef struct {
    long size;                                  // elements
    float *w, *m, *v, *top, *average;           // unused ones are not touched
    const float *g;
    float rate, decay, clip, share;             // share: how much of the new weight goes into the average
    float one_minus_b1, one_minus_b2, epsilon;  // Adam; `rate` includes the bias correction
    float momentum;                             // SGD
} Step;

enum { BLOCK = 1 << 14 };

static float norm_scale(const Step *s) {
    double total = 0;
    #pragma omp parallel for reduction(+ : total) schedule(static)
    for (long start = 0; start < s->size; start += BLOCK) {
        const long end = start + BLOCK < s->size ? start + BLOCK : s->size;
        float part = 0;
        #pragma omp simd reduction(+ : part)
        for (long i = start; i < end; i++) part += s->g[i] * s->g[i];
        total += part;
    }
    const float norm = sqrt(total);
    return norm > s->clip ? s->clip / norm : 1;
}

#define STEP(NAME, BODY)                                                                  \
    void NAME(const Step *s) {                                                            \
        const long size = s->size;                                                        \
        float *restrict w = s->w, *restrict m = s->m, *restrict v = s->v;                 \
        float *restrict top = s->top, *restrict average = s->average;                     \
        const float *restrict g = s->g;                                                   \
        const float rate = s->rate, keep = 1 - s->rate * s->decay, share = s->share;      \
        const float scale = s->clip > 0 ? norm_scale(s) : 1, momentum = s->momentum;      \
        const float b1 = s->one_minus_b1, b2 = s->one_minus_b2, epsilon = s->epsilon;     \
        (void)m, (void)v, (void)top, (void)average, (void)share, (void)keep, (void)scale; \
        (void)momentum, (void)b1, (void)b2, (void)epsilon;                                \
        _Pragma("omp parallel for simd schedule(static)")                                 \
        for (long i = 0; i < size; i++) { BODY }                                          \
    }

#define MOMENTS                                \
    const float gi = g[i] * scale;             \
    const float mi = m[i] + (gi - m[i]) * b1;  \
    const float vi = v[i] + (gi * gi - v[i]) * b2; \
    m[i] = mi;                                 \
    v[i] = vi;

STEP(sgd, w[i] -= rate * scale * g[i];)
STEP(momentum, const float mi = momentum * m[i] - rate * scale * g[i]; m[i] = mi; w[i] += mi;)
STEP(adagrad, const float gi = g[i] * scale; const float vi = v[i] + gi * gi; v[i] = vi;
     w[i] -= rate * gi / sqrtf(vi + epsilon);)
STEP(adam, MOMENTS w[i] = keep * w[i] - rate * mi / (sqrtf(vi) + epsilon);)
STEP(adam_average, MOMENTS const float wi = keep * w[i] - rate * mi / (sqrtf(vi) + epsilon);
     w[i] = wi; average[i] += share * (wi - average[i]);)
STEP(amsgrad, MOMENTS const float ti = top[i] > vi ? top[i] : vi; top[i] = ti;  // fmaxf would be a call
     w[i] = keep * w[i] - rate * mi / (sqrtf(ti) + epsilon);)

// The same for some rows of a matrix: g holds the rows listed in `rows`.
#define ROWS(NAME, BODY)                                                                        \
    void NAME##_rows(const Step *s, const int *rows, long count, long width) {                  \
        float *restrict w = s->w, *restrict m = s->m, *restrict v = s->v;                       \
        const float rate = s->rate, epsilon = s->epsilon;                                       \
        const float b1 = s->one_minus_b1, b2 = s->one_minus_b2;                                 \
        (void)m, (void)v, (void)epsilon, (void)b1, (void)b2;                                    \
        _Pragma("omp parallel for schedule(static)")                                            \
        for (long r = 0; r < count; r++) {                                                      \
            const float *restrict g = s->g + r * width;                                         \
            const long first = rows[r] * width;                                                 \
            _Pragma("omp simd")                                                                 \
            for (long j = 0; j < width; j++) { const long i = first + j; const float gj = g[j]; BODY } \
        }                                                                                       \
    }

ROWS(sgd, w[i] -= rate * gj;)
ROWS(adam, const float mi = m[i] + (gj - m[i]) * b1; const float vi = v[i] + (gj * gj - v[i]) * b2; m[i] = mi;
     v[i] = vi; w[i] -= rate * mi / (sqrtf(vi) + epsilon);)
ROWS(adagrad, const float vi = v[i] + gj * gj; v[i] = vi; w[i] -= rate * gj / sqrtf(vi + epsilon);)
