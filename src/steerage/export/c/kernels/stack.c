/* The channels of a map, n numbers a row, among those of a larger one, `whole` a row. */
static KERNEL void NAME_stack(const NUMBER *x, NUMBER *y, int rows, int n, int whole)
{
    for (int r = 0; r < rows; ++r, y += whole)
        for (int i = 0; i < n; ++i)
            y[i] = *x++;
}
