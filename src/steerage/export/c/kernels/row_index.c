/* One row of one channel; index: number of its weights, and the place in the window of each. */
static KERNEL const WEIGHT *NAME_row_indexBITS_BLOCK_STRIDE(const struct NAME_conv *l, const NUMBER *x, NUMBER *y, SUM bias,
    CODE const WEIGHT *weights, const void **index)
{
    const INDEX *places = (const INDEX *)*index;
    const int taps = *places++;
    *index = places + taps;
#ifdef NAME_WIDE //? wide
    typedef float block __attribute__((vector_size(4 * BLOCK), aligned(4), may_alias)); //? wide
    for (int at = 0;;) { /* two blocks and two weights at a time: sums that need not wait for each other */ //? wide
        const int other = at + 2 * BLOCK <= l->columns ? at + BLOCK : l->columns - BLOCK; //? wide
        const float *const p = x + at, *const q = x + other; //? wide
        block sum = {0}, next = {0}; //? wide
        block before = sum + bias, after = before; //? wide
        int t = 0; //? wide
        for (; t + 1 < taps; t += 2) { //? wide
            before += weights[t] * *(const block *)(p + places[t]); //? wide
            after += weights[t] * *(const block *)(q + places[t]); //? wide
            sum += weights[t + 1] * *(const block *)(p + places[t + 1]); //? wide
            next += weights[t + 1] * *(const block *)(q + places[t + 1]); //? wide
        } //? wide
        if (t < taps) { //? wide
            before += weights[t] * *(const block *)(p + places[t]); //? wide
            after += weights[t] * *(const block *)(q + places[t]); //? wide
        } //? wide
        *(block *)(y + at) = before + sum; //? wide
        *(block *)(y + other) = after + next; //? wide
        if (other + BLOCK >= l->columns) //? wide
            return weights + taps; //? wide
        at = other + 2 * BLOCK <= l->columns ? other + BLOCK : l->columns - BLOCK; /* the last ends with the row */ //? wide
    } //? wide
#else //? wide
    for (int at = 0;;) {
        EACH SUM aK = bias;
        for (int t = 0; t < taps; ++t) {
            const SUM v = weights[t];
            const NUMBER *p = x + at * STRIDE + places[t];
            EACH aK = MAC(v, p[K * STRIDE], aK);
        }
        EACH y[at + K] = aK; //! int8
        const int32_t sums[BLOCK] = {ALL}; //? int8
        for (int k = 0; k < BLOCK; ++k) //? int8
            y[at + k] = STORE(sums[k]); //? int8
        if (at + BLOCK >= l->columns)
            return weights + taps;
        at = at + 2 * BLOCK <= l->columns ? at + BLOCK : l->columns - BLOCK; /* the last block ends with the row */
    }
#endif //? wide
}
