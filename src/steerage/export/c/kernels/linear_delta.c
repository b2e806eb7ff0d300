/* y = bias + weights x; index: for each output the number of its weights, and steps from input to input; 255 goes on. */
static KERNEL void NAME_linear_deltaSUFFIX(const INPUT *x, OUTPUT *y, int outputs, const WEIGHT *weights,
    const uint8_t *index, const SUM *bias) //! int8
    const uint8_t *index, const SUM *bias, const uint8_t *codes) //? int8
{
    for (int o = 0; o < outputs; ++o) {
        const INPUT *p = x;
        SUM a = bias[o];
        for (int left = NAME_next(&index); left > 0; --left) {
            int step = *index++;
            for (; step == 255; step = *index++)
                p += 255;
            p += step;
            a = MAC(*weights, CAST *p, a);
            ++weights;
        }
        y[o] = STORE(a, o);
    }
}
