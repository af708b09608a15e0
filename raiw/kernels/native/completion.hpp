// Completion: places the edges that greedy could not, each time by the length-3 swap of largest gain
// (the law, its ties and the proof that a swap exists: raiw/crafting/completion.py).
//
// No swap ever makes another one better. Eligible vertices only become fewer, an input y is only
// ever joined to outputs that were eligible, and edges a swap adds have an end that was eligible at
// the start, which rules them out for later swaps. So gains only fall: a stored gain is an upper
// bound, and the first of a heap whose gain is still true is the best of all.
//
// Whatever the scores and the graph hold, the search ends: a swap whose gain is not a number is
// none, a gain that is put back is smaller, and every gathering makes a swap or is the last.
#pragma once

#include <algorithm>
#include <numeric>

#include "rows.hpp"

namespace raiw {

constexpr Vertex kNone = ~Vertex{0};

// For every vertex of one side the best eligible, unjoined vertex of the other. The few best of a
// target are listed; as partners only drop out, a list is walked once and then made anew.
class Partners {
public:
    Partners(std::vector<Vertex> eligible, std::size_t targets)
        : eligible_(std::move(eligible)), lists_(targets) {}

    // `score(partner)` is the score of the edge to the target, `usable(partner)` whether it may be
    // added.
    template <class Score, class Usable>
    Vertex best(Vertex target, Score score, Usable usable) {
        List& list = lists_[target];
        for (; list.next < list.size; ++list.next)
            if (usable(list.vertices[list.next])) return list.vertices[list.next];
        if (!list.whole) refill(list, score, usable);
        return list.next < list.size ? list.vertices[list.next] : kNone;
    }

private:
    static constexpr unsigned kListed = 8;
    struct List {
        Vertex vertices[kListed];
        std::uint8_t next = 0, size = 0;
        bool whole = false;  // every usable partner is listed
    };

    template <class Score, class Usable>
    void refill(List& list, Score score, Usable usable) {
        decltype(score(Vertex{})) scores[kListed];
        list.next = list.size = 0;
        list.whole = true;
        for (const Vertex partner : eligible_) {
            const auto own = score(partner);
            if (list.size == kListed && !(own > scores[kListed - 1])) {
                list.whole = false;
                continue;
            }
            if (!usable(partner)) continue;
            list.whole &= list.size < kListed;
            unsigned place = list.size < kListed ? list.size++ : kListed - 1;
            for (; place > 0 && own > scores[place - 1]; --place) {
                scores[place] = scores[place - 1];
                list.vertices[place] = list.vertices[place - 1];
            }
            scores[place] = own;
            list.vertices[place] = partner;
        }
    }

    std::vector<Vertex> eligible_;
    std::vector<List> lists_;
};

template <class T>
class Completion {
public:
    Completion(Scores<T> scores, Bits graph, std::int64_t edges)
        : scores_(scores),
          graph_(graph),
          rows_(scores.rows, edges),
          columns_(scores.columns, edges),
          missing_(edges - count_degrees()),
          outs_(rows_.eligible(), scores.columns),
          ins_(columns_.eligible(), scores.rows) {}

    // Swaps until no edge is missing or no swap is left; returns the number of swaps.
    std::int64_t run() {
        const std::int64_t missing = missing_;
        for (std::int64_t before = missing_ + 1; missing_ > 0 && missing_ < before && gather();) {
            before = missing_;
            std::make_heap(heap_.begin(), heap_.end(), worse);
            while (missing_ > 0 && !heap_.empty()) try_best();
        }
        return missing - missing_;
    }

private:
    // Remove (x, y), add (u, y) and (x, v) with the best partners u of y and v of x.
    struct Swap {
        double gain;
        Vertex x, y;
    };
    static bool worse(const Swap& a, const Swap& b) {
        if (a.gain != b.gain) return a.gain < b.gain;
        return a.x != b.x ? a.x > b.x : a.y > b.y;
    }
    static bool better(const Swap& a, const Swap& b) { return worse(b, a); }

    std::int64_t count_degrees() {
        std::vector<std::int64_t> outs(graph_.rows), ins(graph_.columns);
        raiw::count_degrees(graph_, outs.data(), ins.data());
        for (Vertex u = 0; u < graph_.rows; ++u) rows_.set_degree(u, outs[u]);
        for (Vertex v = 0; v < graph_.columns; ++v) columns_.set_degree(v, ins[v]);
        return std::accumulate(outs.begin(), outs.end(), std::int64_t{0});
    }

    Vertex best_out(Vertex y) {
        return outs_.best(
            y, [&](Vertex u) { return scores_(u, y); },
            [&](Vertex u) {
                return rows_.may_take(u) && !graph_.has(u, y) && scores_(u, y) >= kLowest<T>;
            });
    }
    Vertex best_in(Vertex x) {
        return ins_.best(
            x, [&](Vertex v) { return scores_(x, v); },
            [&](Vertex v) {
                return columns_.may_take(v) && !graph_.has(x, v) && scores_(x, v) >= kLowest<T>;
            });
    }
    double gain(Vertex x, Vertex y, Vertex u, Vertex v) const {
        return (static_cast<double>(scores_(u, y)) + static_cast<double>(scores_(x, v))) -
               static_cast<double>(scores_(x, y));
    }

    // Puts the best swaps on the heap, as many as will likely be needed; false if there are none.
    bool gather() {
        const std::size_t most =
            static_cast<std::size_t>(std::clamp<std::int64_t>(64 * missing_, 1 << 7, 1 << 20));
        const auto trim = [&] {
            const auto last = heap_.begin() + static_cast<std::ptrdiff_t>(most - 1);
            std::nth_element(heap_.begin(), last, heap_.end(), better);
            heap_.resize(most);
            cutoff_ = heap_.back();
        };
        heap_.clear();
        cutoff_ = kWorst;
        std::vector<bool> has_out(scores_.columns);
        std::vector<double> out_score(scores_.columns);
        for (Vertex y = 0; y < scores_.columns; ++y)
            if (const Vertex u = best_out(y); u != kNone) {
                has_out[y] = true;
                out_score[y] = scores_(u, y);
            }
        // The kept scores of a row are fetched while the row before it is worked on.
        std::vector<Vertex> row, next;
        if (scores_.rows) list_row(0, next);
        for (Vertex x = 0; x < scores_.rows; ++x) {
            row.swap(next);
            if (x + 1 < scores_.rows) list_row(x + 1, next);
            const Vertex v = best_in(x);
            if (v == kNone) continue;
            const double in_score = scores_(x, v);
            for (const Vertex y : row) {
                const double gain = (out_score[y] + in_score) - static_cast<double>(scores_(x, y));
                if (!has_out[y] || !(gain >= cutoff_.gain)) continue;
                heap_.push_back({gain, x, y});
                if (heap_.size() == 2 * most) trim();
            }
        }
        if (heap_.size() > most) trim();
        return !heap_.empty();
    }

    // Lists the inputs of output x.
    void list_row(Vertex x, std::vector<Vertex>& columns) {
        columns.clear();
        for (std::size_t w = 0; 8 * w < graph_.stride; ++w)
            each_bit(load_word(graph_.row(x), graph_.stride, w), static_cast<Vertex>(64 * w),
                     [&](Vertex y) {
                         scores_.prefetch(x, y);
                         columns.push_back(y);
                     });
    }

    // Makes the first swap of the heap if its gain is still true, else puts it where it belongs.
    void try_best() {
        std::pop_heap(heap_.begin(), heap_.end(), worse);
        Swap swap = heap_.back();
        heap_.pop_back();
        const Vertex u = best_out(swap.y), v = best_in(swap.x);
        if (u == kNone || v == kNone) return;
        const double now = gain(swap.x, swap.y, u, v);
        if (now >= swap.gain) return make(swap, u, v);
        swap.gain = now;
        if (!(now >= cutoff_.gain) || better(cutoff_, swap)) return;  // the next gathering finds it
        heap_.push_back(swap);
        std::push_heap(heap_.begin(), heap_.end(), worse);
    }

    void make(const Swap& swap, Vertex u, Vertex v) {
        graph_.remove(swap.x, swap.y);
        graph_.add(u, swap.y);
        graph_.add(swap.x, v);
        rows_.take(u);
        columns_.take(v);
        --missing_;
    }

    Scores<T> scores_;
    Bits graph_;
    Side rows_, columns_;
    std::int64_t missing_;
    Partners outs_, ins_;
    std::vector<Swap> heap_;
    static constexpr Swap kWorst{-std::numeric_limits<double>::infinity(), kNone, kNone};
    Swap cutoff_ = kWorst;  // the worst that was kept, where not all were
};

}  // namespace raiw
