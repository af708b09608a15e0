// Between tensors as PyTorch has them, (batch, channels, …), and the planes of geometry.hpp.
#pragma once

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include <cstring>

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

// Short runs are the rule: a call would take longer than they do.
inline void copy(const float* from, Count floats, float* to) {
    if (floats > 64) {
        std::memcpy(to, from, static_cast<std::size_t>(floats) * sizeof(float));
        return;
    }
    for (; floats >= 8; floats -= 8, from += 8, to += 8) std::memcpy(to, from, 32);
    if (floats & 4) std::memcpy(to, from, 16), from += 4, to += 4;
    if (floats & 2) std::memcpy(to, from, 8), from += 2, to += 2;
    if (floats & 1) *to = *from;
}

inline void clear(Count floats, float* to) {
    static constexpr float kZeros[64] = {};
    for (; floats > 64; floats -= 64, to += 64) copy(kZeros, 64, to);
    copy(kZeros, floats, to);
}

class Packing {
public:
    Packing(const Problem& problem, const Layout& layout) : problem_(problem), layout_(layout) {
        const Count rows = problem.axes[layout.band].out;
        for (Count row = 0; row < rows; row += layout.rows) {
            Count origin[3];
            for (int axis = 0; axis < 3; ++axis) origin[axis] = -problem.axes[axis].padding;
            origin[layout.band] += row * problem.axes[layout.band].stride;
            runs_.emplace_back();
            lay_out(origin);
        }
    }

    // Floats that pack() needs besides, where several images lie side by side.
    Count scratch() const { return layout_.images == 1 ? 0 : problem_.inputs() * layout_.images; }

    // How many neighbouring channels are best packed together.
    Count block() const { return problem_.is_linear() ? 16 : 1; }

    // Packs the channels from `first` up to, not including, `end`.
    void pack(const float* inputs, Part part, Count first, Count end, float* packed,
              float* scratch) const {
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
            pack_channel(own, runs_[static_cast<std::size_t>(part.row / layout_.rows)],
                         packed + channel * layout_.plane);
        }
    }

    // Where a part's numbers of a channel lie in the tensor; those of a channel follow each other.
    float* target(float* outputs, Part part, Count channel, Count all_channels) const {
        Count skipped = layout_.band ? part.row / problem_.pool : part.row;
        for (int axis = layout_.band + 1; axis < 3; ++axis) skipped *= problem_.pooled(axis);
        return outputs + (part.image * all_channels + channel) * problem_.places() + skipped;
    }

    // How many numbers of each channel and image a part has.
    Count places(Part part) const {
        return problem_.places() / problem_.pooled(layout_.band) *
               (layout_.band ? part.rows / problem_.pool : part.rows);
    }

private:
    // Floats of a plane that follow each other, and where they are in the tensor's channel.
    struct Run {
        Count floats, from;  // from < 0: they are zero
    };

    void pack_channel(const float* own, const std::vector<Run>& runs, float* to) const {
        const Count lanes = layout_.images, step = problem_.axes[2].stride * lanes;
        for (const Run& run : runs) {
            if (run.from < 0)
                clear(run.floats, to);
            else if (step == lanes)
                copy(own + run.from, run.floats, to);
            else
                for (Count at = 0; at < run.floats; at += lanes)
                    copy(own + run.from + at / lanes * step, lanes, to + at);
            to += run.floats;
        }
    }

    void lay_out(const Count* origin) {
        for (const Count a : layout_.phases[0].remainders)
            for (const Count b : layout_.phases[1].remainders)
                for (const Count c : layout_.phases[2].remainders)
                    for (Count z = 0; z < layout_.extent(0); ++z)
                        for (Count y = 0; y < layout_.extent(1); ++y)
                            lay_row(source(0, origin, z, a), source(1, origin, y, b),
                                    origin[2] + c);
    }

    // Where a place of a plane lies in the tensor, or -1.
    Count source(int axis, const Count* origin, Count place, Count remainder) const {
        const Count at = origin[axis] + place * problem_.axes[axis].stride + remainder;
        return at < 0 || at >= problem_.axes[axis].in ? -1 : at;
    }

    void lay_row(Count z, Count y, Count start) {
        const Count width = layout_.extent(2);
        const Axis& axis = problem_.axes[2];
        const auto up = [&](Count floats) {  // places until start + place·stride >= floats
            return floats <= start ? Count{0}
                                   : std::min(width, (floats - start - 1) / axis.stride + 1);
        };
        const Count first = z < 0 || y < 0 ? width : up(0), end = std::max(first, up(axis.in));
        append(first, -1);
        append(end - first, (z * problem_.axes[1].in + y) * axis.in + start + first * axis.stride);
        append(width - end, -1);
    }

    void append(Count places, Count from) {
        std::vector<Run>& runs = runs_.back();
        const Count lanes = layout_.images, floats = places * lanes;
        if (!places) return;
        const bool joins = !runs.empty() &&
                           (from < 0 ? runs.back().from < 0
                                     : problem_.axes[2].stride == 1 && runs.back().from >= 0 &&
                                           runs.back().from + runs.back().floats == from * lanes);
        if (joins)
            runs.back().floats += floats;
        else
            runs.push_back({floats, from < 0 ? -1 : from * lanes});
    }

    const Problem& problem_;
    const Layout& layout_;
    std::vector<std::vector<Run>> runs_;  // of the parts along the band
};

// The planes of one part, of those channels that were needed so far.
class Planes {
public:
    Planes(const Packing& packing, Count channels)
        : packing_(&packing), has_(static_cast<std::size_t>(channels)) {}

    // Begins with a part, unless it is the same.
    void start(const float* inputs, Part part, float* packed, float* scratch) {
        inputs_ = inputs, packed_ = packed, scratch_ = scratch;
        if (part.image == part_.image && part.row == part_.row) return;
        part_ = part;
        std::fill(has_.begin(), has_.end(), char{0});
        missing_ = channels();
    }

    void need_all() {
        if (missing_) pack(0, channels());
    }

    // Packs those of some channels that are missing.
    void need(const std::int32_t* channel, const std::int32_t* end) {
        if (!missing_) return;
        const char* has = has_.data();
        const Count block = packing_->block();
        for (; channel < end; ++channel) {
            if (has[*channel]) continue;
            const Count first = *channel / block * block;
            pack(first, std::min(first + block, channels()));
        }
    }

    Part part() const { return part_; }
    const float* packed() const { return packed_; }

private:
    Count channels() const { return static_cast<Count>(has_.size()); }

    void pack(Count first, Count end) {
        packing_->pack(inputs_, part_, first, end, packed_, scratch_);
        std::fill(has_.begin() + first, has_.begin() + end, char{1});
        missing_ -= end - first;
    }

    const Packing* packing_;
    std::vector<char> has_;
    Count missing_ = 0;
    Part part_{-1, 0, 0, 0};
    const float* inputs_ = nullptr;
    float *packed_ = nullptr, *scratch_ = nullptr;
};

}  // namespace raiw
