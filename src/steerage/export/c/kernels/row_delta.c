/* One row of one channel; index: number of its weights, and steps in the window from one to the next; 255 goes on. */
static KERNEL const float *NAME_row_delta_BLOCK_STRIDE(const struct NAME_conv *l, const float *x, float *y, float bias,
    const float *weights, const void **index)
{
    const uint8_t *steps = (const uint8_t *)*index;
    const float *const end = weights + NAME_next(&steps);
    for (int at = 0;;) {
        const uint8_t *i = steps;
        const float *p = x + at * STRIDE;
        EACH float aK = bias;
        for (const float *w = weights; w != end; ++w) {
            int step = *i++;
            for (; step == 255; step = *i++)
                p += 255;
            p += step;
            EACH aK = MAC(*w, p[K * STRIDE], aK);
        }
        EACH y[at + K] = aK;
        if (at + BLOCK >= l->columns) {
            *index = i;
            return end;
        }
        at = at + 2 * BLOCK <= l->columns ? at + BLOCK : l->columns - BLOCK; /* the last block ends with the row */
    }
}
