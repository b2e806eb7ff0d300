/* Runs NAME on this machine: rows come from the file "rows", scores go into "scores". */
#include "NAME.h"

#include <stdio.h>

static INPUT row[UPPER_INPUTS];
static NAME_scratch scratch;

int main(void)
{
    FILE *const in = fopen("rows", "rb"), *const out = fopen("scores", "wb");
    if (!in || !out)
        return 1;
    while (fread(row, sizeof row, 1, in) == 1)
        if (fwrite(NAME_scores(row, &scratch), sizeof(SCORE), UPPER_OUTPUTS, out) != UPPER_OUTPUTS)
            return 1;
    return fclose(out) != 0;
}
