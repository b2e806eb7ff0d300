/* y = bias + weights x; bits: one for each input of each output, whether it has a weight. */
static KERNEL void NAME_linear_bitmapSUFFIX(const INPUT *x, int inputs, OUTPUT *y, int outputs, const WEIGHT *weights,
    const uint8_t *bits, const SUM *bias) //! int8
    const uint8_t *bits, const SUM *bias, const uint8_t *codes) //? int8
{
    for (int o = 0; o < outputs; ++o) {
        SUM a = bias[o];
        for (int i = 0; i < inputs; i += 8) {
            const INPUT *p = x + i;
            for (unsigned left = *bits++; left != 0; left >>= 1, ++p)
                if (left & 1u) {
                    a = MAC(*weights, CAST *p, a);
                    ++weights;
                }
        }
        y[o] = STORE(a, o);
    }
}
