/* One row of one channel; bits: one for each place of its kernels, whether it has a weight. */
static KERNEL const WEIGHT *NAME_row_bitmap_BLOCK_STRIDE(const struct NAME_conv *l, const NUMBER *x, NUMBER *y, SUM bias,
    CODE const WEIGHT *weights, const void **index)
{
    const uint8_t *bits = (const uint8_t *)*index;
    const int places = l->kernel_y * l->group_inputs * l->kernel_x;
    *index = bits + (places + 7) / 8;
    for (int at = 0;;) {
        const WEIGHT *w = weights;
        const uint8_t *next = bits;
        unsigned left = 1; /* bits that were not looked at, below a 1 */
        EACH SUM aK = bias;
        for (int ky = 0; ky < l->kernel_y; ++ky) {
            for (int c = 0; c < l->group_inputs; ++c) {
                const NUMBER *p = x + (ky * l->channels + c) * l->padded + at * STRIDE;
                for (int kx = 0; kx < l->kernel_x; ++kx, ++p, left >>= 1) {
                    if (left == 1u)
                        left = 256u | *next++;
                    if (left & 1u) {
                        const SUM v = *w++;
                        EACH aK = MAC(v, p[K * STRIDE], aK);
                    }
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
