/* y = x in steps, from `zero` on; `inverse`: steps of a unit. */
static KERNEL void NAME_quantize(const float *x, int8_t *y, int n, float inverse, float zero)
{
    for (int i = 0; i < n; ++i)
        y[i] = NAME_quantized(x[i] * inverse + zero);
}
