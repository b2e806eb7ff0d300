/* y = bias + weights x, four outputs at a time: weights[outputs / 4][inputs][4], then a row for each that is left. */
static KERNEL void NAME_linear_denseSUFFIX(const INPUT *x, int inputs, OUTPUT *y, int outputs, const WEIGHT *weights,
    const SUM *bias) //! int8
    const SUM *bias, const uint8_t *codes) //? int8
{
    int o = 0;
    for (; o + 4 <= outputs; o += 4) {
        SUM a0 = bias[o], a1 = bias[o + 1], a2 = bias[o + 2], a3 = bias[o + 3];
        for (int i = 0; i < inputs; ++i, weights += 4) {
            const SUM v = CAST x[i];
            a0 = MAC(weights[0], v, a0);
            a1 = MAC(weights[1], v, a1);
            a2 = MAC(weights[2], v, a2);
            a3 = MAC(weights[3], v, a3);
        }
        const SUM sums[4] = {a0, a1, a2, a3};
        for (int k = 0; k < 4; ++k)
            y[o + k] = STORE(sums[k], o + k);
    }
    for (; o < outputs; ++o) {
        SUM a = bias[o];
        for (int i = 0; i < inputs; ++i, ++weights)
            a = MAC(*weights, CAST x[i], a);
        y[o] = STORE(a, o);
    }
}
