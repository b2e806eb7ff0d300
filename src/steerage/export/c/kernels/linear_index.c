/* y = bias + weights x; index: for each output the number of its weights, and the input of each. */
static KERNEL void NAME_linear_indexBITSSUFFIX(const INPUT *x, float *y, int outputs, const float *weights,
    const INDEX *index, const float *bias)
{
    for (int o = 0; o < outputs; ++o) {
        float a = bias[o];
        for (int left = *index++; left > 0; --left, ++weights, ++index)
            a = MAC(*weights, CAST x[*index], a);
        y[o] = a;
    }
}
