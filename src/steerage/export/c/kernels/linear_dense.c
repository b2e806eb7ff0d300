/* y = bias + weights x, four outputs at a time: weights[outputs / 4][inputs][4], then a row for each that is left. */
static KERNEL void NAME_linear_denseSUFFIX(const INPUT *x, int inputs, float *y, int outputs, const float *weights,
    const float *bias)
{
    int o = 0;
    for (; o + 4 <= outputs; o += 4) {
        float a0 = bias[o], a1 = bias[o + 1], a2 = bias[o + 2], a3 = bias[o + 3];
        for (int i = 0; i < inputs; ++i, weights += 4) {
            const float v = CAST x[i];
            a0 = MAC(weights[0], v, a0);
            a1 = MAC(weights[1], v, a1);
            a2 = MAC(weights[2], v, a2);
            a3 = MAC(weights[3], v, a3);
        }
        y[o] = a0;
        y[o + 1] = a1;
        y[o + 2] = a2;
        y[o + 3] = a3;
    }
    for (; o < outputs; ++o) {
        float a = bias[o];
        for (int i = 0; i < inputs; ++i, ++weights)
            a = MAC(*weights, CAST x[i], a);
        y[o] = a;
    }
}
