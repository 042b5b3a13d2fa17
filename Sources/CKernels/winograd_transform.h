/* The transforms of winograd.h, compiled once for each instruction set. */

/* x / (1 + exp(-x)) */
INLINE vf stage_silu(vf x) {
    const vf most = 87.0f, t = -x;
    vf bounded = t > most ? most : t;
    bounded = bounded < -most ? -most : bounded;
    const vf n = __builtin_elementwise_roundeven(bounded * 1.44269504088896341f);
    vf r = bounded - n * 0.693359375f;
    r = r + n * 2.12194440e-4f;
    return x / (1.0f + exp_small(r) * power_of_two(n));
}

/* One pixel's block of channels, normalised and activated where asked. */
INLINE void stage_pixel(const float *pixel, const float *scale, const float *shift, const int silu,
                        float *out) {
    for (int j = 0; j < SEGMENT; j += VECTOR) {
        vf value = load(pixel + j);
        if (scale) value = value * load(scale + j) + load(shift + j);
        if (silu) value = stage_silu(value);
        store(out + j, value);
    }
}

/* Pixels x ..< x + count of an image row; of the doubled row if `doubled`. */
INLINE void stage_pixels(const float *row, ptrdiff_t channels, ptrdiff_t x, ptrdiff_t count,
                         const int doubled, const float *scale, const float *shift, const int silu,
                         float *out) {
    for (ptrdiff_t i = 0; i < count; i++) {
        const ptrdiff_t source = doubled ? (x + i) >> 1 : x + i;
        if (doubled && i > 0 && ((x + i) & 1)) {
            memcpy(out + i * SEGMENT, out + (i - 1) * SEGMENT, SEGMENT * sizeof(float));
        } else {
            stage_pixel(row + source * channels, scale, shift, silu, out + i * SEGMENT);
        }
    }
}

/* One row of the stage: pixels left ..< left + count of row y, of the doubled image perhaps. */
static void stage_row(const uspi_winograd *w, const float *image, const float *scale,
                      const float *shift, ptrdiff_t y, ptrdiff_t left, ptrdiff_t count,
                      float *out) {
    const ptrdiff_t height = w->height * w->upsample, width = w->width * w->upsample;
    const size_t pixel = SEGMENT * sizeof(float);
    ptrdiff_t before = left < 0 ? -left : 0, inside = width - left - before;
    if (before > count) before = count;
    if (inside > count - before) inside = count - before;
    if (inside < 0 || y < 0 || y >= height) inside = 0;
    if (inside == 0) before = count;
    memset(out, 0, (size_t)before * pixel);
    const int doubled = w->upsample == 2;
    const float *row = image + (doubled ? y >> 1 : y) * w->width * w->channels;
    float *first = out + before * SEGMENT;
    const ptrdiff_t x = left + before;
    if (doubled) {
        stage_pixels(row, w->channels, x, inside, 1, scale, shift, w->silu, first);
    } else if (w->silu) {
        stage_pixels(row, w->channels, x, inside, 0, scale, shift, 1, first);
    } else {
        stage_pixels(row, w->channels, x, inside, 0, scale, shift, 0, first);
    }
    memset(first + inside * SEGMENT, 0, (size_t)(count - before - inside) * pixel);
}

/* The six points are 0, NEAR, -NEAR, FAR, -FAR and infinity. With 5/8 and 3/2, whose powers are
 * exact, largest errors are a third of those with the customary 1 and 2 (256 channels: 3.4e-6
 * against 1.0e-5 of the largest value; plain sums 1.5e-6). On the choice of points: Barabasz et al.
 * 2020. */
#define NEAR 0.625f
#define FAR 1.5f
#define NEAR_2 (NEAR * NEAR)
#define FAR_2 (FAR * FAR)
/* The kernels' factors at 0, and at NEAR and FAR the reciprocals of the product of differences. */
#define AT_ZERO (1 / (NEAR_2 * FAR_2))
#define AT_NEAR (1 / (2 * NEAR_2 * (NEAR_2 - FAR_2)))
#define AT_FAR (1 / (2 * FAR_2 * (FAR_2 - NEAR_2)))

/* Six inputs to six points. */
INLINE void to_points(const vf d[6], vf t[6]) {
    const vf near = d[4] - FAR_2 * d[2], odd_near = d[3] - FAR_2 * d[1];
    const vf far = d[4] - NEAR_2 * d[2], odd_far = d[3] - NEAR_2 * d[1];
    t[0] = far - FAR_2 * (d[2] - NEAR_2 * d[0]);
    t[1] = near + NEAR * odd_near;
    t[2] = near - NEAR * odd_near;
    t[3] = far + FAR * odd_far;
    t[4] = far - FAR * odd_far;
    t[5] = d[5] - NEAR_2 * d[3] - FAR_2 * odd_far;
}

/* Six points to four outputs. */
INLINE void from_points(const vf s[6], vf y[4]) {
    const vf p = s[1] + s[2], q = s[1] - s[2], r = s[3] + s[4], u = s[3] - s[4];
    y[0] = s[0] + p + r;
    y[1] = NEAR * q + FAR * u;
    y[2] = NEAR_2 * p + FAR_2 * r;
    y[3] = NEAR * NEAR_2 * q + FAR * FAR_2 * u + s[5];
}

/* The 6x6 pixels at `stage`, rows `row` floats apart, to 36 places v_row apart. */
INLINE void transform_tile(const float *stage, ptrdiff_t row, float *v, ptrdiff_t v_row) {
    for (int j = 0; j < SEGMENT; j += VECTOR) {
        vf half[6][6];
        for (int x = 0; x < 6; x++) {
            vf column[6], points[6];
            for (int y = 0; y < 6; y++) column[y] = load(stage + y * row + x * SEGMENT + j);
            to_points(column, points);
            for (int y = 0; y < 6; y++) half[y][x] = points[y];
        }
        for (int y = 0; y < 6; y++) {
            vf points[6];
            to_points(half[y], points);
            for (int x = 0; x < 6; x++) store(v + (y * 6 + x) * v_row + j, points[x]);
        }
    }
}

static void winograd_input(const uspi_winograd *w, ptrdiff_t block, float *stage) {
    const ptrdiff_t tiles = w->images * w->tiles_y * w->tiles_x;
    const ptrdiff_t rows = 4 * w->tiles_y + 2, columns = 4 * w->tiles_x + 2;
    float *v = w->v + block * tiles * SEGMENT;
    for (ptrdiff_t i = w->image; i < w->image + w->images; i++) {
        const float *image = w->x + i * w->height * w->width * w->channels + block * SEGMENT;
        const ptrdiff_t map = i * w->map_row + block * SEGMENT;
        const float *scale = w->scale ? w->scale + map : NULL,
                    *shift = w->shift ? w->shift + map : NULL;
        for (ptrdiff_t y = 0; y < rows; y++) {
            stage_row(w, image, scale, shift, 4 * w->tile_y - w->pad_top + y,
                      4 * w->tile_x - w->pad_left, columns, stage + y * columns * SEGMENT);
        }
        for (ptrdiff_t ty = 0; ty < w->tiles_y; ty++) {
            for (ptrdiff_t tx = 0; tx < w->tiles_x; tx++, v += SEGMENT) {
                transform_tile(stage + (4 * ty * columns + 4 * tx) * SEGMENT, columns * SEGMENT, v,
                               w->v_row);
            }
        }
    }
}

/* One vector of `count` outputs from `o` of the 4x4 pixels at (y, x). */
INLINE void finish_tile(const uspi_winograd *w, const float *m, ptrdiff_t image, ptrdiff_t y,
                        ptrdiff_t x, ptrdiff_t o, int count) {
    vf half[4][6];
    for (int i = 0; i < 6; i++) {
        vf points[6], values[4];
        for (int k = 0; k < 6; k++) points[k] = load(m + (k * 6 + i) * w->m_row);
        from_points(points, values);
        for (int k = 0; k < 4; k++) half[k][i] = values[k];
    }
    const int whole = count == VECTOR;
    const vf bias = !w->bias ? (vf)0.0f : whole ? load(w->bias + o) : load_some(w->bias + o, count);
    for (int k = 0; k < 4 && y + k < w->out_height; k++) {
        vf values[4];
        from_points(half[k], values);
        for (int i = 0; i < 4 && x + i < w->out_width; i++) {
            const ptrdiff_t pixel = (image * w->out_height + y + k) * w->out_width + x + i;
            const float *residual = w->residual ? w->residual + pixel * w->outputs + o : NULL;
            float *out = w->y + pixel * w->y_row + o;
            vf value = values[i] + bias;
            if (residual) value += whole ? load(residual) : load_some(residual, count);
            if (w->relu) value = vector_relu(value);
            if (whole) store(out, value);
            else store_some(out, value, count);
        }
    }
}

static void winograd_output(const uspi_winograd *w, ptrdiff_t panel, ptrdiff_t begin,
                            ptrdiff_t end) {
    const ptrdiff_t tiles = w->images * w->tiles_y * w->tiles_x;
    for (ptrdiff_t row = begin; row < end; row++) {
        const ptrdiff_t image = w->image + row / w->tiles_y;
        const ptrdiff_t y = 4 * (w->tile_y + row % w->tiles_y);
        for (ptrdiff_t tx = 0; tx < w->tiles_x; tx++) {
            const float *m = w->m + (panel * tiles + row * w->tiles_x + tx) * PANEL;
            for (int j = 0; j < PANEL; j += VECTOR) {
                const ptrdiff_t o = panel * PANEL + j, left = w->outputs - o;
                if (left <= 0) break;
                finish_tile(w, m + j, image, y, 4 * (w->tile_x + tx), o,
                            left < VECTOR ? (int)left : VECTOR);
            }
        }
    }
}

/* Three elements of a kernel to the six points. */
INLINE void kernel_points(const vf g[3], vf t[6]) {
    const vf near = (g[0] + NEAR_2 * g[2]) * AT_NEAR, odd_near = g[1] * (NEAR * AT_NEAR);
    const vf far = (g[0] + FAR_2 * g[2]) * AT_FAR, odd_far = g[1] * (FAR * AT_FAR);
    t[0] = g[0] * AT_ZERO;
    t[1] = near + odd_near;
    t[2] = near - odd_near;
    t[3] = far + odd_far;
    t[4] = far - odd_far;
    t[5] = g[2];
}

/* Where the kernel of an output and a channel lies. */
INLINE ptrdiff_t kernel_place(const uspi_winograd_weight *k, ptrdiff_t o, ptrdiff_t c) {
    return o * k->output_row + c * k->channel_row;
}

/* Elements (c, e) of a block's kernels with the outputs of a panel side by side. */
static void load_kernels(const uspi_winograd_weight *k, const float *weight, ptrdiff_t block,
                         ptrdiff_t panel, float elements[SEGMENT * 9][PANEL]) {
    const int together = k->channel_row == 9;
    for (ptrdiff_t j = 0; j < PANEL; j += LANES) {
        for (ptrdiff_t c = 0; c < SEGMENT; c += together ? SEGMENT : 1) {
            lanes_source source = {
                .lane_stride = 0, .k_stride = 1, .type = USPI_F32, .count = LANES};
            for (ptrdiff_t l = 0; l < LANES; l++) {
                const ptrdiff_t o = panel * PANEL + j + l;
                source.lane[l] =
                    o < k->outputs ? weight + kernel_place(k, o, block * SEGMENT + c) : NULL;
            }
            pack_lanes(&source, together ? SEGMENT * 9 : 9, LANES, USPI_F32,
                       (uint32_t *)&elements[c * 9][j], PANEL);
        }
    }
}

static void winograd_kernel(const uspi_winograd_weight *k, const float *weight, ptrdiff_t block,
                            ptrdiff_t panel, float *kernels, ptrdiff_t kernel_row) {
    float elements[SEGMENT * 9][PANEL];
    load_kernels(k, weight, block, panel, elements);
    const int last = k->flipped ? 8 : 0, step = k->flipped ? -1 : 1;
    float *out = kernels + (panel * k->channels + block * SEGMENT) * PANEL;
    for (ptrdiff_t c = 0; c < SEGMENT; c++) {
        for (int j = 0; j < PANEL; j += VECTOR) {
            vf half[6][3];
            for (int x = 0; x < 3; x++) {
                vf column[3], points[6];
                for (int y = 0; y < 3; y++)
                    column[y] = load(&elements[c * 9 + last + step * (y * 3 + x)][j]);
                kernel_points(column, points);
                for (int y = 0; y < 6; y++) half[y][x] = points[y];
            }
            for (int y = 0; y < 6; y++) {
                vf points[6];
                kernel_points(half[y], points);
                for (int x = 0; x < 6; x++)
                    store(out + (y * 6 + x) * kernel_row + c * PANEL + j, points[x]);
            }
        }
    }
}

/* The adjoint of from_points. */
INLINE void spread_points(const vf y[4], vf s[6]) {
    const vf near = y[0] + NEAR_2 * y[2], odd_near = NEAR * (y[1] + NEAR_2 * y[3]);
    const vf far = y[0] + FAR_2 * y[2], odd_far = FAR * (y[1] + FAR_2 * y[3]);
    s[0] = y[0];
    s[1] = near + odd_near;
    s[2] = near - odd_near;
    s[3] = far + odd_far;
    s[4] = far - odd_far;
    s[5] = y[3];
}

/* One vector of `count` outputs from `o` of the 4x4 gradients at (y, x) to 36 points at m. */
INLINE void spread_tile(const uspi_winograd *w, float *m, ptrdiff_t image, ptrdiff_t y, ptrdiff_t x,
                        ptrdiff_t o, int count) {
    vf half[6][4];
    for (int i = 0; i < 4; i++) {
        vf column[4], points[6];
        for (int k = 0; k < 4; k++) {
            const int inside = y + k < w->out_height && x + i < w->out_width;
            const float *at =
                w->y + ((image * w->out_height + y + k) * w->out_width + x + i) * w->outputs + o;
            column[k] = !inside ? (vf)0.0f : count == VECTOR ? load(at) : load_some(at, count);
        }
        spread_points(column, points);
        for (int k = 0; k < 6; k++) half[k][i] = points[k];
    }
    for (int k = 0; k < 6; k++) {
        vf points[6];
        spread_points(half[k], points);
        for (int i = 0; i < 6; i++) store(m + (k * 6 + i) * w->m_row, points[i]);
    }
}

static void winograd_spread(const uspi_winograd *w, ptrdiff_t panel, ptrdiff_t begin,
                            ptrdiff_t end) {
    const ptrdiff_t tiles = w->images * w->tiles_y * w->tiles_x;
    for (ptrdiff_t row = begin; row < end; row++) {
        const ptrdiff_t image = w->image + row / w->tiles_y;
        const ptrdiff_t y = 4 * (w->tile_y + row % w->tiles_y);
        for (ptrdiff_t tx = 0; tx < w->tiles_x; tx++) {
            float *m = w->m + (panel * tiles + row * w->tiles_x + tx) * PANEL;
            for (int j = 0; j < PANEL; j += VECTOR) {
                const ptrdiff_t o = panel * PANEL + j, left = w->outputs - o;
                spread_tile(w, m + j, image, y, 4 * (w->tile_x + tx), o,
                            left <= 0 ? 0 : left < VECTOR ? (int)left : VECTOR);
            }
        }
    }
}

/* The adjoint of kernel_points. */
INLINE void gather_points(const vf t[6], vf g[3]) {
    const vf near = (t[1] + t[2]) * AT_NEAR, far = (t[3] + t[4]) * AT_FAR;
    g[0] = t[0] * AT_ZERO + near + far;
    g[1] = (t[1] - t[2]) * (NEAR * AT_NEAR) + (t[3] - t[4]) * (FAR * AT_FAR);
    g[2] = near * NEAR_2 + far * FAR_2 + t[5];
}

static void winograd_kernel_gradient(const uspi_winograd_weight *k, const float *sums,
                                     ptrdiff_t kernel_row, ptrdiff_t block, ptrdiff_t panel,
                                     float *weight) {
    float elements[SEGMENT * 9][PANEL];
    sums += (panel * k->channels + block * SEGMENT) * PANEL;
    for (ptrdiff_t c = 0; c < SEGMENT; c++) {
        for (int j = 0; j < PANEL; j += VECTOR) {
            vf half[3][6];
            for (int x = 0; x < 6; x++) {
                vf column[6], g[3];
                for (int y = 0; y < 6; y++)
                    column[y] = load(sums + (y * 6 + x) * kernel_row + c * PANEL + j);
                gather_points(column, g);
                for (int y = 0; y < 3; y++) half[y][x] = g[y];
            }
            for (int y = 0; y < 3; y++) {
                vf g[3];
                gather_points(half[y], g);
                for (int x = 0; x < 3; x++) store(&elements[c * 9 + y * 3 + x][j], g[x]);
            }
        }
    }
    for (ptrdiff_t o = 0; o < PANEL && panel * PANEL + o < k->outputs; o++) {
        for (ptrdiff_t c = 0; c < SEGMENT; c++) {
            float *kernel = weight + kernel_place(k, panel * PANEL + o, block * SEGMENT + c);
            for (ptrdiff_t e = 0; e < 9; e++) {
                kernel[k->flipped ? 8 - e : e] += elements[c * 9 + e][o];
            }
        }
    }
}
