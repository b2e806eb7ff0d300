/* y = f(x) for the activation of that number; 0 is none. */
static KERNEL void NAME_activate(const NUMBER *x, NUMBER *y, int n, int activation)
{
    switch (activation) { //! int8
CASES //! int8
    default: //! int8
        break; //! int8
    } //! int8
    if (activation) //? int8
        for (int i = 0; i < n; ++i) //? int8
            y[i] = NAME_tables[activation - 1][x[i] + 128]; //? int8
}
