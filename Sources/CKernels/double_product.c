/* f64 products: blocks of B packed into panels, tiles of A's rows packed and run past them. */
#include "double.h"
#include "gemm_variants.h"

enum { DEPTH = 256, ACROSS = 256, TALLEST = 14, WIDEST = 16 };

size_t uspi_double_workspace(void) {
    return (size_t)(DEPTH * (ACROSS + WIDEST) + DEPTH * TALLEST) * sizeof(double) + 64;
}

/* [steps][width] from lanes that are `lane` apart; zeros past the existing ones. */
static void pack(const double *from, int64_t lane, int64_t step, int64_t count, int64_t steps,
                 int64_t width, double *to) {
    for (int64_t s = 0; s < steps; s++, from += step, to += width) {
        for (int64_t l = 0; l < count; l++) to[l] = from[l * lane];
        for (int64_t l = count; l < width; l++) to[l] = 0;
    }
}

static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

/* The end of a tile. */
static void add_tile(const uspi_double_product *g, const double *tile, int64_t width, int64_t row,
                     int64_t rows, int64_t column, int64_t columns, int adds) {
    for (int64_t i = 0; i < rows; i++, tile += width) {
        double *c = g->c + (row + i) * g->c_row + column;
        if (adds)
            for (int64_t j = 0; j < columns; j++) c[j] += g->alpha * tile[j];
        else
            for (int64_t j = 0; j < columns; j++) c[j] = g->alpha * tile[j];
    }
}

/* Steps k ..< k + steps of the rows, for packed columns. */
static void run_rows(const uspi_double_product *g, int64_t k, int64_t steps, int64_t m_begin,
                     int64_t m_end, int64_t column, int64_t columns, const double *panels,
                     double *packed) {
    const kernel_variant *variant = uspi_variant();
    const int64_t height = variant->most_rows, width = variant->double_columns;
    const int adds = k > 0 || g->accumulate;
    double tile[TALLEST * WIDEST];
    for (int64_t row = m_begin; row < m_end; row += height) {
        const int64_t rows = smaller(height, m_end - row);
        pack(g->a + row * g->a_row + k * g->a_col, g->a_row, g->a_col, rows, steps, height, packed);
        for (int64_t j = 0; j < columns; j += width) {
            variant->double_tile(steps, packed, panels + j * steps, tile);
            add_tile(g, tile, width, row, rows, column + j, smaller(width, columns - j), adds);
        }
    }
}

void uspi_double_run(const uspi_double_product *g, int64_t m_begin, int64_t m_end, int64_t n_begin,
                     int64_t n_end, void *workspace) {
    const int64_t width = uspi_variant()->double_columns;
    double *panels = line_begin(workspace), *packed = panels + DEPTH * (ACROSS + WIDEST);
    for (int64_t column = n_begin; column < n_end; column += ACROSS) {
        const int64_t columns = smaller(ACROSS, n_end - column);
        for (int64_t k = 0; k < g->k; k += DEPTH) {
            const int64_t steps = smaller(DEPTH, g->k - k);
            for (int64_t j = 0; j < columns; j += width)
                pack(g->b + (column + j) * g->b_col + k * g->b_row, g->b_col, g->b_row,
                     smaller(width, columns - j), steps, width, panels + j * steps);
            run_rows(g, k, steps, m_begin, m_end, column, columns, panels, packed);
        }
    }
}
