/* y = x in steps; see NAME_ramp. */
static KERNEL void NAME_quantize(const float *x, int8_t *y, int n, int32_t start, int factor, int power)
{
    for (int i = 0; i < n; ++i)
        y[i] = NAME_ramp(NAME_bits(x[i]), start, factor, power);
}
