/* One row of one channel; bits: one for each place of its kernels, whether it has a weight. */
static KERNEL const WEIGHT *NAME_row_bitmap_BLOCK_STRIDE(const struct NAME_conv *l, const NUMBER *x, NUMBER *y, SUM bias,
    CODE const WEIGHT *weights, const void **index)
{
    const uint8_t *const bits = (const uint8_t *)*index;
    const uint8_t *const end = bits + (l->kernel_y * l->group_inputs * l->kernel_x + 7) / 8;
    const int skip = (l->group_inputs == 1 ? l->channels : 1) * l->padded - l->kernel_x; /* from line to line */
    const int across = l->across;
    *index = end;
    for (int at = 0;;) {
        const WEIGHT *w = weights;
        const NUMBER *const from = x + at * STRIDE;
        int first = 0; /* place of a byte's first bit */
        EACH SUM aK = bias;
        for (const uint8_t *next = bits; next != end; ++next, first += 8) {
            int place = first;
            for (unsigned left = *next; left != 0; left >>= 1, ++place) {
                const int zeros = NAME_first(left);
                left >>= zeros;
                place += zeros;
                const NUMBER *const p = from + place + (place * across >> 15) * skip;
                const SUM v = *w++;
                EACH aK = MAC(v, p[K * STRIDE], aK);
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
