/* y = bias + weights x; bits: one for each input of each output, whether it has a weight. */
static KERNEL void NAME_linear_bitmapSUFFIX(const INPUT *x, int inputs, float *y, int outputs, const float *weights,
    const uint8_t *bits, const float *bias)
{
    for (int o = 0; o < outputs; ++o) {
        float a = bias[o];
        for (int i = 0; i < inputs; i += 8) {
            const INPUT *p = x + i;
            for (unsigned left = *bits++; left != 0; left >>= 1, ++p)
                if (left & 1u) {
                    a = MAC(*weights, CAST *p, a);
                    ++weights;
                }
        }
        y[o] = a;
    }
}
