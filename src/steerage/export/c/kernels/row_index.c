/* One row of one channel; index: number of its weights, and the place in the window of each. */
static KERNEL const WEIGHT *NAME_row_indexBITS_BLOCK_STRIDE(const struct NAME_conv *l, const NUMBER *x, NUMBER *y, SUM bias,
    CODE const WEIGHT *weights, const void **index)
{
    const INDEX *places = (const INDEX *)*index;
    const int taps = *places++;
    *index = places + taps;
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
}
