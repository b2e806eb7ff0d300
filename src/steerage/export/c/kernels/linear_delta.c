/* y = bias + weights x; index: for each output the number of its weights, and steps from input to input; 255 goes on. */
static KERNEL void NAME_linear_deltaSUFFIX(const INPUT *x, float *y, int outputs, const float *weights,
    const uint8_t *index, const float *bias)
{
    for (int o = 0; o < outputs; ++o) {
        const INPUT *p = x;
        float a = bias[o];
        for (int left = NAME_next(&index); left > 0; --left) {
            int step = *index++;
            for (; step == 255; step = *index++)
                p += 255;
            p += step;
            a = MAC(*weights, CAST *p, a);
            ++weights;
        }
        y[o] = a;
    }
}
