/* y = the numbers of x at the places `index`, or all of them. */
static KERNEL void NAME_gatherBITS(const float *x, float *y, int n, const INDEX *index)
{
    for (int i = 0; i < n; ++i)
        y[i] = x[index ? index[i] : i];
}
