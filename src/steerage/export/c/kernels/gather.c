/* y = the numbers of x at the places `index`, or all of them. */
static KERNEL void NAME_gatherBITSSUFFIX(const NUMBER *x, NUMBER *y, int n, const INDEX *index)
{
    for (int i = 0; i < n; ++i)
        y[i] = x[index ? index[i] : i];
}
