// Completion: places the edges that greedy could not, each time by the length-3 swap of largest gain
// (the law, its ties and the proof that a swap exists: raiw/crafting/completion.py).
//
// No swap ever makes another one better. Eligible vertices only become fewer, an input y is only
// ever joined to outputs that were eligible, and edges a swap adds have an end that was eligible at
// the start, which rules them out for later swaps. So gains only fall: the gain once found for an
// output x, and the score once found for the best partner of an input y, are upper bounds, and the
// first output of a heap whose gain is still true has the best swap of all.
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
    Completion(Scores<T> scores, Bits graph, std::int64_t edges, const double* floors)
        : scores_(scores),
          graph_(graph),
          floors_(floors),
          rows_(scores.rows, edges),
          columns_(scores.columns, edges),
          missing_(edges - count_degrees()),
          outs_(rows_.eligible(), scores.columns),
          ins_(columns_.eligible(), scores.rows),
          out_scores_(scores.columns),
          listed_(scores.columns + kSlack),
          noted_(scores.rows) {}

    // Swaps until no edge is missing or no swap is left; returns the number of swaps.
    std::int64_t run() {
        const std::int64_t missing = missing_;
        for (std::int64_t before = missing_ + 1; missing_ > 0 && missing_ < before;) {
            before = missing_;
            gather();
            while (missing_ > 0 && !heap_.empty()) try_best();
        }
        return missing - missing_;
    }

private:
    // Remove (x, y), add (u, y) and (x, v) with the best partners u of y and v of x: of the swaps of
    // an output x the best.
    struct Swap {
        double gain;
        Vertex x, y;
        bool operator<(const Swap& other) const {
            return gain != other.gain ? gain < other.gain : x > other.x;
        }
    };
    struct Kept {
        Vertex y;
        T score;
    };
    struct Noted {
        std::size_t start = 0, count = 0;
    };

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

    // Puts every output on the heap for what it can gain at most: by the best edges of all that may be
    // added, and with its floor removed. Where sums overflow, nothing is known of that.
    void gather() {
        double most = kNoNumber;
        for (Vertex y = 0; y < scores_.columns; ++y) {
            out_scores_[y] = out_score(y);
            if (out_scores_[y] > most || most != most) most = out_scores_[y];
        }
        heap_.clear();
        if (most != most) return;
        for (Vertex x = 0; x < scores_.rows; ++x) {
            const Vertex v = best_in(x);
            if (v == kNone) continue;
            const double gain = (most + static_cast<double>(scores_(x, v))) - floors_[x];
            offer({gain == gain ? gain : std::numeric_limits<double>::infinity(), x, 0});
        }
    }

    // The score of the best edge that may be added to an input; NaN if there is none.
    double out_score(Vertex y) {
        const Vertex u = best_out(y);
        return u == kNone ? kNoNumber : static_cast<double>(scores_(u, y));
    }

    // The best swap of output x by the scores known of its inputs' partners; of equal ones that of
    // the first input.
    Swap best_of(Vertex x, Vertex v, const Kept* kept, std::size_t count) const {
        const double in_score = scores_(x, v);
        Swap best{kNoNumber, x, kNone};
        for (std::size_t i = 0; i < count; ++i) {
            const double gain =
                (out_scores_[kept[i].y] + in_score) - static_cast<double>(kept[i].score);
            if (gain > best.gain || (best.y == kNone && gain == gain)) best = {gain, x, kept[i].y};
        }
        return best;
    }

    // Notes the edges of output x, unless they are.
    void note(Vertex x) {
        if (noted_[x].count) return;
        if (kept_.size() > kMostNoted) {
            kept_.clear();
            std::fill(noted_.begin(), noted_.end(), Noted{});
        }
        load_row(graph_, x, row_);
        const std::size_t count = list_bits(row_.data(), row_.size(), listed_.data());
        noted_[x] = {kept_.size(), count};
        kept_.resize(kept_.size() + count);
        for (std::size_t i = 0; i < count; ++i) scores_.prefetch(x, listed_[i]);
        Kept* kept = kept_.data() + noted_[x].start;
        for (std::size_t i = 0; i < count; ++i) kept[i] = {listed_[i], scores_(x, listed_[i])};
    }

    // Forgets an edge of an output that is noted. One that is added needs no note: no swap removes it.
    void forget(Vertex x, Vertex y) {
        Kept *kept = kept_.data() + noted_[x].start, *end = kept + noted_[x].count--;
        while (kept->y != y) ++kept;
        std::copy(kept + 1, end, kept);
    }

    void offer(const Swap& swap) {
        if (swap.y == kNone) return;
        heap_.push_back(swap);
        std::push_heap(heap_.begin(), heap_.end());
    }

    // Makes the first swap of the heap if its gain is still true, else puts it where it belongs.
    void try_best() {
        std::pop_heap(heap_.begin(), heap_.end());
        const Swap known = heap_.back();
        heap_.pop_back();
        const Vertex v = best_in(known.x);
        if (v == kNone) return;
        note(known.x);
        const Noted noted = noted_[known.x];
        Swap swap;
        do
            swap = best_of(known.x, v, kept_.data() + noted.start, noted.count);
        while (swap.y != kNone && !up_to_date(swap.y));
        if (swap.gain >= known.gain) make(swap, best_out(swap.y), v);
        offer(swap);
    }

    // Whether the partner known of an input is still its best; knows it afterwards.
    bool up_to_date(Vertex y) {
        const double known = out_scores_[y];
        out_scores_[y] = out_score(y);
        return out_scores_[y] == known;
    }

    void make(const Swap& swap, Vertex u, Vertex v) {
        graph_.remove(swap.x, swap.y);
        graph_.add(u, swap.y);
        graph_.add(swap.x, v);
        forget(swap.x, swap.y);
        rows_.take(u);
        columns_.take(v);
        --missing_;
    }

    Scores<T> scores_;
    Bits graph_;
    const double* floors_;
    Side rows_, columns_;
    std::int64_t missing_;
    Partners outs_, ins_;
    std::vector<double> out_scores_;
    std::vector<Word> row_;
    std::vector<Vertex> listed_;
    std::vector<Kept> kept_;  // the edges of some outputs,
    std::vector<Noted> noted_;  // and where those of each stand
    std::vector<Swap> heap_;
    static constexpr std::size_t kMostNoted = 1 << 22;
    static constexpr double kNoNumber = std::numeric_limits<double>::quiet_NaN();
};

}  // namespace raiw
