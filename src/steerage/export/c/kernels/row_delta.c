/* One row of one channel; index: number of its weights, and steps in the window from one to the next; 255 goes on. */
static KERNEL const WEIGHT *NAME_row_delta_BLOCK_STRIDE(const struct NAME_conv *l, const NUMBER *x, NUMBER *y, SUM bias,
    CODE const WEIGHT *weights, const void **index)
{
    const uint8_t *steps = (const uint8_t *)*index;
    const WEIGHT *const end = weights + NAME_next(&steps);
    for (int at = 0;;) {
        const uint8_t *i = steps;
        const NUMBER *p = x + at * STRIDE;
        EACH SUM aK = bias;
        for (const WEIGHT *w = weights; w != end; ++w) {
            int step = *i++;
            for (; step == 255; step = *i++)
                p += 255;
            p += step;
            EACH aK = MAC(*w, p[K * STRIDE], aK);
        }
        EACH y[at + K] = aK; //! int8
        const int32_t sums[BLOCK] = {ALL}; //? int8
        for (int k = 0; k < BLOCK; ++k) //? int8
            y[at + k] = STORE(sums[k]); //? int8
        if (at + BLOCK >= l->columns) {
            *index = i;
            return end;
        }
        at = at + 2 * BLOCK <= l->columns ? at + BLOCK : l->columns - BLOCK; /* the last block ends with the row */
    }
}
