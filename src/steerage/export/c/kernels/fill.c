/* y = 0 */
static KERNEL void NAME_fill(float *y, int n)
{
    for (int i = 0; i < n; ++i)
        y[i] = 0.0f;
}
