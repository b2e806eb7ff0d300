/* z = x SIGN y */
static KERNEL void NAME_KIND(const float *x, const float *y, float *z, int n)
{
    for (int i = 0; i < n; ++i)
        z[i] = x[i] SIGN y[i];
}
