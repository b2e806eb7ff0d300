/* One row of one channel with all its weights, BLOCK pixels at a time; returns the weights that come next. */
static KERNEL const WEIGHT *NAME_row_dense_BLOCK_STRIDE(const struct NAME_conv *l, const NUMBER *x, NUMBER *y, SUM bias,
    CODE const WEIGHT *weights)
{
    for (int at = 0;;) {
        const WEIGHT *w = weights;
        EACH SUM aK = bias;
        for (int ky = 0; ky < l->kernel_y; ++ky) {
            for (int c = 0; c < l->group_inputs; ++c) {
                const NUMBER *p = x + (ky * l->channels + c) * l->padded + at * STRIDE;
                for (int kx = 0; kx < l->kernel_x; ++kx, ++p) {
                    const SUM v = *w++;
                    EACH aK = MAC(v, p[K * STRIDE], aK);
                }
            }
        }
        EACH y[at + K] = aK; //! int8
        const int32_t sums[BLOCK] = {ALL}; //? int8
        for (int k = 0; k < BLOCK; ++k) //? int8
            y[at + k] = STORE(sums[k]); //? int8
        if (at + BLOCK >= l->columns)
            return w;
        at = at + 2 * BLOCK <= l->columns ? at + BLOCK : l->columns - BLOCK; /* the last block ends with the row */
    }
}
