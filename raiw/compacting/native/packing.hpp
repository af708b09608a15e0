// Between tensors as PyTorch has them, (batch, channels, …), and the planes of geometry.hpp.
#pragma once

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "geometry.hpp"

namespace raiw {

// Some images, and rows of their outputs, that are computed at a time.
struct Part {
    Count image, images;
    Count row, rows;
};

// Writes to[i·to_step + j] = from[j·from_step + i] for i < rows, j < columns.
inline void transpose(const float* from, Count from_step, float* to, Count to_step, Count rows,
                      Count columns) {
    Count i = 0;
#if defined(__SSE2__)
    for (; i + 4 <= rows; i += 4) {
        Count j = 0;
        for (; j + 4 <= columns; j += 4) {
            const float* source = from + j * from_step + i;
            __m128 a = _mm_loadu_ps(source), b = _mm_loadu_ps(source + from_step),
                   c = _mm_loadu_ps(source + 2 * from_step),
                   d = _mm_loadu_ps(source + 3 * from_step);
            _MM_TRANSPOSE4_PS(a, b, c, d);
            float* target = to + i * to_step + j;
            _mm_storeu_ps(target, a);
            _mm_storeu_ps(target + to_step, b);
            _mm_storeu_ps(target + 2 * to_step, c);
            _mm_storeu_ps(target + 3 * to_step, d);
        }
        for (; j < columns; ++j)
            for (Count k = i; k < i + 4; ++k) to[k * to_step + j] = from[j * from_step + k];
    }
#endif
    for (; i < rows; ++i)
        for (Count j = 0; j < columns; ++j) to[i * to_step + j] = from[j * from_step + i];
}

class Packing {
public:
    Packing(const Problem& problem, const Layout& layout) : problem_(problem), layout_(layout) {
        for (int axis = 0; axis < 3; ++axis) origin_[axis] = -problem.axes[axis].padding;
    }

    // Floats that pack() needs besides, where several images lie side by side.
    Count scratch() const { return layout_.images == 1 ? 0 : problem_.inputs() * layout_.images; }

    // Packs the channels from `first` up to, not including, `end`.
    void pack(const float* inputs, Part part, Count first, Count end, float* packed,
              float* scratch) const {
        Count origin[3] = {origin_[0], origin_[1], origin_[2]};
        origin[layout_.band] += part.row * problem_.axes[layout_.band].stride;
        const Count image = problem_.channels * problem_.inputs();
        const float* images = inputs + part.image * image;
        if (problem_.is_linear())
            return transpose(images + first, image, packed + first * layout_.images,
                             layout_.images, end - first, part.images);
        for (Count channel = first; channel < end; ++channel) {
            const float* own = images + channel * problem_.inputs();
            if (layout_.images > 1) {
                transpose(own, image, scratch, layout_.images, problem_.inputs(), part.images);
                own = scratch;
            }
            pack_channel(own, origin, packed + channel * layout_.plane);
        }
    }

    // What a channel's finished numbers look like: those of `rows` rows of outputs, or of what
    // pooling leaves of them.
    struct Map {
        Count out[3], steps[3], floats;
    };
    Map map(Count rows) const {
        const Count images = layout_.images, pool = problem_.pool;
        Map map{{layout_.out[0], layout_.out[1], layout_.out[2]},
                {layout_.steps[0], layout_.steps[1], layout_.steps[2]},
                layout_.vectors() * layout_.lanes};
        map.out[layout_.band] = rows;
        if (pool == 1) return map;
        map.out[1] /= pool, map.out[2] /= pool;
        map.steps[1] = map.out[2] * images;
        map.steps[0] = map.floats = map.out[1] * map.steps[1];
        return map;
    }

    // Whether a channel's numbers have no gaps, so that channels follow each other as they do in
    // the tensor.
    bool is_gapless(const Map& map) const {
        return layout_.images > 1 && map.floats == problem_.places() * layout_.images;
    }

    // Writes the numbers of output channels where the tensor has them.
    void unpack(const float* numbers, Part part, Count channel, Count channels,
                Count all_channels, float* outputs) const {
        const Map own = map(part.rows);
        const Count places = problem_.places(), step = all_channels * places;
        float* target = outputs + (part.image * all_channels + channel) * places;
        if (is_gapless(own))
            return transpose(numbers, layout_.images, target, step, part.images,
                             channels * places);
        Count skipped = layout_.band ? part.row / problem_.pool : part.row;
        for (int axis = layout_.band + 1; axis < 3; ++axis) skipped *= problem_.pooled(axis);
        for (Count c = 0; c < channels; ++c, numbers += own.floats) {
            float* row = target + c * places + skipped;
            for (Count z = 0; z < own.out[0]; ++z)
                for (Count y = 0; y < own.out[1]; ++y, row += own.out[2]) {
                    const float* from = numbers + z * own.steps[0] + y * own.steps[1];
                    if (layout_.images == 1)
                        std::copy(from, from + own.out[2], row);
                    else
                        transpose(from, layout_.images, row, step, part.images, own.out[2]);
                }
        }
    }

private:
    void pack_channel(const float* own, const Count* origin, float* row) const {
        for (const Count a : layout_.phases[0].remainders)
            for (const Count b : layout_.phases[1].remainders)
                for (const Count c : layout_.phases[2].remainders)
                    for (Count z = 0; z < layout_.extent(0); ++z)
                        for (Count y = 0; y < layout_.extent(1); ++y) {
                            pack_row(own, source(0, origin, z, a), source(1, origin, y, b),
                                     origin[2] + c, row);
                            row += layout_.extent(2) * layout_.images;
                        }
    }

    // Where a place of a plane lies in the tensor, or -1.
    Count source(int axis, const Count* origin, Count place, Count remainder) const {
        const Count at = origin[axis] + place * problem_.axes[axis].stride + remainder;
        return at < 0 || at >= problem_.axes[axis].in ? -1 : at;
    }

    void pack_row(const float* own, Count z, Count y, Count start, float* row) const {
        const Count width = layout_.extent(2), lanes = layout_.images;
        const Axis& axis = problem_.axes[2];
        const auto up = [&](Count floats) {  // places until start + place·stride >= floats
            return floats <= start ? Count{0}
                                   : std::min(width, (floats - start - 1) / axis.stride + 1);
        };
        const Count first = z < 0 || y < 0 ? width : up(0), end = std::max(first, up(axis.in));
        std::fill(row, row + first * lanes, 0.0f);
        std::fill(row + end * lanes, row + width * lanes, 0.0f);
        if (first == end) return;
        const float* source = own + ((z * problem_.axes[1].in + y) * axis.in + start +
                                     first * axis.stride) * lanes;
        float* target = row + first * lanes;
        if (axis.stride == 1) {
            std::copy(source, source + (end - first) * lanes, target);
            return;
        }
        for (Count place = first; place < end; ++place, source += axis.stride * lanes)
            target = std::copy(source, source + lanes, target);
    }

    const Problem& problem_;
    const Layout& layout_;
    Count origin_[3];
};

}  // namespace raiw
