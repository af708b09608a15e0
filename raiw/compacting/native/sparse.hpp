// Convolutions and linear layers whose outputs read few channels.
#pragma once

#include "packing.hpp"
#include "pool.hpp"
#include "tiles.hpp"

namespace raiw {

// Which channels each group of outputs reads.
struct Pattern {
    std::vector<Count> starts;            // groups + 1: where each group's channels begin
    std::vector<std::int32_t> channels;  // of all groups
    Count inputs;

    Count groups() const { return static_cast<Count>(starts.size()) - 1; }
};

// A layer: `shared` consecutive outputs read the same channels. Weights are
// (entries, taps, shared), one entry for each channel of each group.
struct Layer {
    const Pattern& pattern;
    const float *weights, *scales, *biases;  // without scales or biases: null
    int shared;
    bool rectify;  // outputs are no less than zero

    Count outputs() const { return pattern.groups() * shared; }
};

class Sparse {
public:
    Sparse(const Layer& layer, const Problem& problem, const float* inputs, float* outputs,
           const Tiles& tiles)
        : layer_(layer), problem_(problem), inputs_(inputs), outputs_(outputs), tiles_(tiles) {}

    void run(unsigned threads) {
        Pool& pool = Pool::shared();
        const std::unique_lock<std::mutex> alone(pool.owner(), std::try_to_lock);
        if (!alone.owns_lock()) {  // another thread of the program has the pool
            Pool own;
            return run_on(own, 1);
        }
        run_on(pool, work() < kWorthThreads ? 1 : threads);
    }

private:
    static constexpr Count kFewImages = 3;             // each by itself
    static constexpr Count kWorthThreads = 1 << 16;    // products of a weight and an input
    static constexpr Count kPackedFloats = 96 << 10;   // that stay near the processor
    static constexpr Count kMostImages = 64;
    static constexpr Count kLine = 16;
    static constexpr Count kShares = 4;  // of each thread: who is late leaves some to the others

    Count work() const {
        return static_cast<Count>(layer_.pattern.channels.size()) * layer_.shared *
               problem_.taps() * problem_.outputs() * problem_.batch;
    }

    void run_on(Pool& pool, unsigned threads) {
        threads = pool.prepare(threads);
        if (problem_.is_linear() && problem_.batch <= kFewImages) return run_points(pool, threads);
        const Layout layout = choose_layout();
        const Packing packing(problem_, layout);
        const std::vector<Part> parts = cut(layout);
        if (is_few_places(layout, static_cast<Count>(parts.size()))) return run_points(pool, threads);
        const Count together = groups_together(layout), groups = layer_.pattern.groups();
        const Count scratch = std::max(sums(layout) * together + 2 * layout.lanes,
                                       packing.scratch());
        // Nothing is allocated on the pool's threads, which could not tell that memory is short.
        for (unsigned t = 0; t < threads; ++t)
            pool.workspaces[t].take(scratch + packed_floats(layout));
        std::vector<Planes> planes(threads, Planes(packing, problem_.channels));
        // Each thread packs for itself what its outputs read: to fetch what another has packed
        // takes longer. Where that is probably everything, it does not ask each time.
        const auto count = static_cast<Count>(parts.size());
        const Count shares = count < Count{threads} ? kShares * threads : 1;
        const auto entries = static_cast<Count>(layer_.pattern.channels.size());
        const bool all = shares == 1 || entries > 2 * Count{threads} * problem_.channels;
        pool.run(count * shares, threads, [&](Count item, unsigned thread) {
            float* sums = pool.workspaces[thread].take(scratch + packed_floats(layout));
            const Count share = item % shares;
            Planes& own = planes[thread];
            own.start(inputs_, parts[static_cast<std::size_t>(item / shares)], sums + scratch,
                      sums);
            if (all) own.need_all();
            multiply(layout, packing, own, groups * share / shares, groups * (share + 1) / shares,
                     together, sums);
        });
    }

    // Whether planes would be padding for the most part. Both sides are halves of a clock cycle:
    // there a vector holds outputs, here places.
    bool is_few_places(const Layout& layout, Count parts) const {
        return layer_.shared >= 4 && 2 * Reads::count(problem_) * problem_.batch <=
                                         problem_.taps() * layout.vectors() * parts * layer_.shared;
    }

    // Few places: what was packed would be read once.
    void run_points(Pool& pool, unsigned threads) {
        const Reads reads(problem_);
        const Count shares = kShares * threads, groups = layer_.pattern.groups();
        pool.run(shares, threads, [&](Count share, unsigned) {
            const Count first = groups * share / shares, end = groups * (share + 1) / shares;
            for (Count image = 0; image < problem_.batch; ++image)
                tiles_.points(points_of(reads, image, first), end - first, layer_.shared);
        });
    }

    Points points_of(const Reads& reads, Count image, Count g) const {
        const Count output = g * layer_.shared;
        const auto own = [&](const float* numbers) { return numbers ? numbers + output : nullptr; };
        Points points{group_of(g), reads.reads.data(), reads.starts.data(), own(layer_.scales),
                      own(layer_.biases), layer_.rectify, problem_.pool, problem_.pooled(0),
                      problem_.pooled(1), problem_.pooled(2), problem_.axes[1].out,
                      problem_.axes[2].out, nullptr,
                      layer_.pattern.starts.data() + g};
        points.group.packed = inputs_ + image * problem_.channels * problem_.inputs();
        points.group.plane = problem_.inputs();
        points.numbers =
            outputs_ + (image * layer_.outputs() + output) * problem_.places();
        return points;
    }

    void multiply(const Layout& layout, const Packing& packing, Planes& planes, Count first,
                  Count end, Count together, float* sums) const {
        const Part part = planes.part();
        const std::vector<Count>& starts = layer_.pattern.starts;
        const Count length = layout.vectors() * layout.lanes;
        const Count places = packing.places(part), all = layer_.outputs();
        for (Count begin = first; begin < end; begin += together) {
            const Count stop = std::min(begin + together, end);
            const auto at = [&](Count g) {
                return layer_.pattern.channels.data() + starts[static_cast<std::size_t>(g)];
            };
            planes.need(at(begin), at(stop));
            for (Count g = begin; g < stop; ++g)
                add_up(layout, planes.packed(), g, sums + (g - begin) * layer_.shared * length);
            const Count channel = begin * layer_.shared, channels = (stop - begin) * layer_.shared;
            float* target = packing.target(outputs_, part, channel, all);
            const bool alone = layout.images == 1;
            for (Count c = 0; c < channels; ++c)
                finish(layout, part, channel + c, sums + c * length,
                       alone ? target + c * problem_.places() : sums + c * places * layout.images);
            if (!alone)
                transpose(sums, layout.images, target, all * problem_.places(), part.images,
                          channels * places);
        }
    }

    // Makes numbers of the sums of a channel.
    void finish(const Layout& layout, Part part, Count channel, const float* sums,
                float* numbers) const {
        Finish one = finish_of(channel);
        Count out[3] = {layout.out[0], layout.out[1], layout.out[2]};
        out[layout.band] = part.rows;
        one.rows = out[1] / problem_.pool, one.width = out[2] / problem_.pool;
        one.row_step = layout.steps[1], one.images = layout.images;
        if (one.row_step == one.width * one.images && problem_.pool == 1)
            one.width *= one.rows, one.rows = 1;
        for (Count z = 0; z < out[0]; ++z) {
            one.sums = sums + z * layout.steps[0];
            one.numbers = numbers + z * one.rows * one.width * one.images;
            tiles_.finish(one);
        }
    }

    Finish finish_of(Count channel) const {
        Finish one{};
        one.scale = layer_.scales ? layer_.scales[channel] : 1.0f;
        one.bias = layer_.biases ? layer_.biases[channel] : 0.0f;
        one.rectify = layer_.rectify;
        one.pool = problem_.pool;
        return one;
    }

    void add_up(const Layout& layout, const float* packed, Count g, float* sums) const {
        Group group = group_of(g);
        group.packed = packed;
        group.plane = layout.plane;
        group.offsets = layout.offsets.data();
        group.bases = layout.bases.data();
        group.vectors = layout.vectors();
        group.sums = sums;
        group.length = layout.vectors() * layout.lanes;
        tiles_.positions(group, layer_.shared);
    }

    Group group_of(Count g) const {
        const Count start = layer_.pattern.starts[static_cast<std::size_t>(g)];
        Group group{};
        group.channels = layer_.pattern.channels.data() + start;
        group.entries = layer_.pattern.starts[static_cast<std::size_t>(g) + 1] - start;
        group.taps = problem_.taps();
        group.weights = layer_.weights + start * group.taps * layer_.shared;
        return group;
    }

    Count sums(const Layout& layout) const {
        return layout.vectors() * layout.lanes * layer_.shared;
    }
    // A vector may read past the last channel.
    Count packed_floats(const Layout& layout) const {
        return problem_.channels * layout.plane + 2 * layout.lanes;
    }

    // Groups whose sums are kept until they fill a cache line of every image.
    Count groups_together(const Layout& layout) const {
        if (layout.images == 1 || layout.rows < problem_.axes[layout.band].out) return 1;
        return std::max<Count>(1, kLine / (problem_.places() * layer_.shared));
    }

    // Takes as many images at a time as fill the vectors best, and cuts those that are too large
    // for the processor's cache.
    Layout choose_layout() const {
        const Count rows = problem_.axes[Layout::band_of(problem_)].out;
        Count best = 1;
        double least = price(Layout(problem_, 1, rows, tiles_.lanes));
        for (Count images = 2; images <= kMostImages && images < 2 * problem_.batch; images *= 2) {
            const Layout layout(problem_, images, rows, tiles_.lanes);
            const double cost = price(layout);
            const bool near = problem_.channels * layout.plane <= 4 * kPackedFloats;
            if (cost < least && (near || problem_.is_linear()))
                best = images, least = cost;
        }
        Layout layout(problem_, best, rows, tiles_.lanes);
        for (Count cut = rows; cut > 8 + problem_.pool && problem_.channels * layout.plane > kPackedFloats;) {
            cut = (cut / 2 + problem_.pool) / problem_.pool * problem_.pool;  // whole squares
            layout = Layout(problem_, best, cut, tiles_.lanes);
        }
        return layout;
    }

    // What a layout costs: its vectors, the weights that each tile reads, and packing.
    double price(const Layout& layout) const {
        const auto parts = static_cast<double>((problem_.batch + layout.images - 1) /
                                               layout.images);
        const Count most = layer_.shared >= 8 ? tiles_.shared_vectors : tiles_.single_vectors;
        const auto vectors = static_cast<double>(layout.vectors());
        const auto tiles = static_cast<double>((layout.vectors() + most - 1) / most);
        const double packing = layout.images == 1 ? 1 : 1.1;
        return parts * packing * (vectors + tiles * (layer_.shared >= 8 ? 0.5 : 1.5));
    }

    std::vector<Part> cut(const Layout& layout) const {
        std::vector<Part> parts;
        const Count rows = problem_.axes[layout.band].out;
        for (Count image = 0; image < problem_.batch; image += layout.images)
            for (Count row = 0; row < rows; row += layout.rows)
                parts.push_back({image, std::min(layout.images, problem_.batch - image), row,
                                 std::min(layout.rows, rows - row)});
        return parts;
    }

    const Layer& layer_;
    const Problem& problem_;
    const float* inputs_;
    float* outputs_;
    const Tiles& tiles_;
};

}  // namespace raiw
