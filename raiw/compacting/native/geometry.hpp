// How a convolution is laid out for kernels that only ever read consecutive floats.
//
// A channel of some images is packed into one plane: zero padded, images side by side at every
// place (innermost), and split by what places leave over when divided by the stride. Then every
// kernel tap is a fixed offset, and a run of outputs reads a run of floats.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace raiw {

using Count = std::int64_t;

struct Axis {
    Count in, out, taps, stride, padding, dilation;
};

// A convolution over three axes; those that it lacks have one place. A linear layer has none.
struct Problem {
    Count batch, channels;
    Axis axes[3];
    Count pool = 1;  // the side of the squares of outputs of which only the largest is wanted

    Count inputs() const { return axes[0].in * axes[1].in * axes[2].in; }
    Count outputs() const { return axes[0].out * axes[1].out * axes[2].out; }
    Count pooled(int axis) const { return axis ? axes[axis].out / pool : axes[axis].out; }
    Count places() const { return pooled(0) * pooled(1) * pooled(2); }
    Count taps() const { return axes[0].taps * axes[1].taps * axes[2].taps; }

    // Whether it is a linear layer: every channel is one number.
    bool is_linear() const {
        return inputs() == 1 && outputs() == 1 && taps() == 1 && axes[0].padding == 0 &&
               axes[1].padding == 0 && axes[2].padding == 0;
    }
};

// What each output place of a layer reads of a channel, where there are few: no padding.
struct Reads {
    struct Read {
        Count tap, place;
    };
    std::vector<Read> reads;
    std::vector<Count> starts;  // places + 1: where each place's reads begin

    explicit Reads(const Problem& problem) : starts{0} {
        const Axis* axes = problem.axes;
        for (Count z = 0; z < axes[0].out; ++z)
            for (Count y = 0; y < axes[1].out; ++y)
                for (Count x = 0; x < axes[2].out; ++x) {
                    add(axes, z, y, x);
                    starts.push_back(static_cast<Count>(reads.size()));
                }
    }

    // How many there are.
    static Count count(const Problem& problem) {
        Count all = 1;
        for (const Axis& axis : problem.axes) {
            Count own = 0;
            for (Count tap = 0; tap < axis.taps; ++tap) {
                // Outputs whose input at this tap is not in the padding.
                const Count at = tap * axis.dilation - axis.padding;
                const Count first = at < 0 ? (axis.stride - 1 - at) / axis.stride : 0;
                const Count end = at < axis.in ? (axis.in - 1 - at) / axis.stride + 1 : 0;
                own += std::max<Count>(0, std::min(end, axis.out) - first);
            }
            all *= own;
        }
        return all;
    }

private:
    void add(const Axis* axes, Count z, Count y, Count x) {
        Count tap = 0;
        for (Count a = 0; a < axes[0].taps; ++a)
            for (Count b = 0; b < axes[1].taps; ++b)
                for (Count c = 0; c < axes[2].taps; ++c, ++tap) {
                    const Count at[3] = {place(axes[0], z, a), place(axes[1], y, b),
                                         place(axes[2], x, c)};
                    if (at[0] < 0 || at[1] < 0 || at[2] < 0) continue;
                    reads.push_back({tap, (at[0] * axes[1].in + at[1]) * axes[2].in + at[2]});
                }
    }

    // Where an output's tap lies among the inputs, or -1.
    static Count place(const Axis& axis, Count output, Count tap) {
        const Count at = output * axis.stride + tap * axis.dilation - axis.padding;
        return at < axis.in ? std::max<Count>(at, -1) : -1;
    }
};

// One axis of a plane: which remainders its taps need, and where each tap is found.
struct Phases {
    std::vector<Count> remainders, phase_of_tap, place_of_tap;
    Count extent;

    Phases(const Axis& axis, Count out) : extent(out) {
        for (Count tap = 0; tap < axis.taps; ++tap) {
            const Count at = tap * axis.dilation, remainder = at % axis.stride;
            const auto found = std::find(remainders.begin(), remainders.end(), remainder);
            phase_of_tap.push_back(found - remainders.begin());
            if (found == remainders.end()) remainders.push_back(remainder);
            place_of_tap.push_back(at / axis.stride);
            extent = std::max(extent, out + at / axis.stride);
        }
    }
    Count phases() const { return static_cast<Count>(remainders.size()); }
};

// The planes of `images` images and `rows` outputs along the first axis that has several.
struct Layout {
    Count images, lanes, rows;
    int band;  // the axis along which a large image is cut
    Phases phases[3];
    Count out[3];
    Count plane;                 // floats of a channel
    std::vector<Count> offsets;  // of each tap within a plane
    std::vector<Count> bases;    // of each vector of outputs within a plane
    Count steps[3];              // between neighbouring outputs in what the vectors hold

    Layout(const Problem& problem, Count images_, Count rows_, Count lanes_)
        : images(images_), lanes(lanes_), rows(rows_), band(band_of(problem)),
          phases{phase(problem, 0), phase(problem, 1), phase(problem, 2)} {
        for (int axis = 0; axis < 3; ++axis) out[axis] = outputs(problem, axis);
        const Count phase_size = extent(0) * extent(1) * extent(2) * images;
        plane = phase_size * phases[0].phases() * phases[1].phases() * phases[2].phases();
        for (Count a = 0; a < problem.axes[0].taps; ++a)
            for (Count b = 0; b < problem.axes[1].taps; ++b)
                for (Count c = 0; c < problem.axes[2].taps; ++c)
                    offsets.push_back(phase_size * phase_at(a, b, c) +
                                      ((phases[0].place_of_tap[at(a)] * extent(1) +
                                        phases[1].place_of_tap[at(b)]) * extent(2) +
                                       phases[2].place_of_tap[at(c)]) * images);
        place_vectors();
    }

    static int band_of(const Problem& problem) {
        return problem.axes[0].out > 1 ? 0 : problem.axes[1].out > 1 ? 1 : 2;
    }
    Count extent(int axis) const { return phases[axis].extent; }
    Count vectors() const { return static_cast<Count>(bases.size()); }

private:
    static std::size_t at(Count i) { return static_cast<std::size_t>(i); }

    Count outputs(const Problem& problem, int axis) const {
        return axis == band ? rows : problem.axes[axis].out;
    }
    Phases phase(const Problem& problem, int axis) const {
        return Phases(problem.axes[axis], outputs(problem, axis));
    }
    Count phase_at(Count a, Count b, Count c) const {
        return (phases[0].phase_of_tap[at(a)] * phases[1].phases() +
                phases[1].phase_of_tap[at(b)]) * phases[2].phases() +
               phases[2].phase_of_tap[at(c)];
    }

    // Cuts the outputs into vectors: row by row, or through the padding between rows or slices,
    // whichever takes the fewest.
    void place_vectors() {
        const Count row = extent(2) * images, slice = extent(1) * row;
        const Count lengths[] = {out[2] * images, (out[1] - 1) * row + out[2] * images,
                                 (out[0] - 1) * slice + (out[1] - 1) * row + out[2] * images};
        const Count runs[] = {out[0] * out[1], out[0], 1};
        int best = 0;
        for (int level = 1; level < 3; ++level)
            if (runs[level] * in_vectors(lengths[level]) < runs[best] * in_vectors(lengths[best]))
                best = level;
        const Count each = in_vectors(lengths[best]);
        for (Count run = 0; run < runs[best]; ++run) {
            const Count start = best == 0   ? run / out[1] * slice + run % out[1] * row
                                : best == 1 ? run * slice
                                            : 0;
            for (Count v = 0; v < each; ++v) bases.push_back(start + v * lanes);
        }
        steps[2] = images;
        steps[1] = best == 0 ? each * lanes : row;
        steps[0] = best == 0 ? out[1] * each * lanes : best == 1 ? each * lanes : slice;
    }
    Count in_vectors(Count floats) const { return (floats + lanes - 1) / lanes; }
};

}  // namespace raiw
