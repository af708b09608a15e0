// Dual prices of a low bound by coordinate descent (the law: raiw/crafting/bounds/descent.py).
//
// No operation but those that IEEE 754 rounds correctly, in an order that is always the same: the
// same bits on every machine.
#pragma once

#include <cmath>
#include <numeric>

#include "ranking.hpp"
#include "sums.hpp"

namespace raiw {

constexpr double kInf = std::numeric_limits<double>::infinity();

// Adds the scores of a graph's edges to exact sums, and finds the lowest that each vertex keeps, +inf
// where it keeps none.
template <class T>
void survey_kept(Scores<T> scores, Bits graph, std::int64_t* sums, double* out_levels,
                 double* in_levels) {
    std::fill(in_levels, in_levels + graph.columns, kInf);
    std::vector<double> kept(graph.columns);
    LikeNumbers numbers(sums);
    each_kept(scores, graph, [&](Vertex u, const Vertex* columns, std::size_t count) {
        double least = kInf;
        for (std::size_t i = 0; i < count; ++i) {
            const double score = kept[i] = scores(u, columns[i]);
            double& level = in_levels[columns[i]];
            level = score < level ? score : level;
            least = score < least ? score : least;
        }
        out_levels[u] = least;
        numbers.add(kept.data(), count);
    });
}

// When to stop.
struct Stopping {
    std::int64_t sweeps;  // at most so many
    double settled;       // where a sweep lowers the bound by less than this share of it
    double kept;
    bool quick;           // after one or two sweeps, unless others promise to close much of the gap to
                          // what is kept
};

// The prices of one side, and the window in which the next will likely lie.
struct PricedSide {
    std::int64_t floor, spare;
    std::vector<double> prices, lows, highs, ranked, steps;
    std::vector<Vertex> order;

    PricedSide(std::size_t vertices, std::int64_t edges, const double* start)
        : floor(edges / static_cast<std::int64_t>(vertices)),
          spare(edges % static_cast<std::int64_t>(vertices)),
          prices(start, start + vertices),
          lows(vertices),
          highs(vertices, kInf),
          ranked(3 * vertices),
          steps(vertices),
          order(spare ? vertices : 0) {
        for (double& price : prices) price = std::isfinite(price) ? price : 0;
        lows = prices;
    }

    std::size_t size() const { return prices.size(); }
    Ranking ranking() {
        return {static_cast<std::size_t>(floor), size(), lows.data(), highs.data(), ranked.data()};
    }
    const double* above() const { return ranked.data(); }
    const double* at() const { return ranked.data() + size(); }
    const double* below() const { return ranked.data() + 2 * size(); }

    // Places windows around the prices, as wide as the other side's prices have moved. Upwards they
    // reach the mean price: one that started far too low has to rise.
    void expect(double moved) {
        constexpr double kWide = 1, kLeast = 0.125;
        double mean = 0;
        for (const double price : prices) mean += std::fabs(price);
        mean /= static_cast<double>(size());
        for (std::size_t v = 0; v < size(); ++v) {
            const double width = kWide * moved * (std::fabs(prices[v]) + kLeast * mean) + steps[v];
            const bool known = std::isfinite(width);
            lows[v] = known ? prices[v] - width : -kInf;
            highs[v] = known ? std::max(prices[v] + width, mean) : kInf;
        }
    }

    // The vertices whose next cell is worth most come first, `spare` of them: they go above the
    // floor.
    void put_dearest_first() {
        std::iota(order.begin(), order.end(), Vertex{0});
        std::nth_element(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(spare),
                         order.end(), [&](Vertex a, Vertex b) {
                             return at()[a] != at()[b] ? at()[a] > at()[b] : a < b;
                         });
    }

    // What a side keeps at most beyond the k best of every vertex.
    double earned_above() const {
        double sum = 0;
        std::vector<Vertex> up(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(spare));
        std::sort(up.begin(), up.end());
        for (const Vertex v : up) sum += at()[v];
        return sum;
    }

    // What the vertices pay at least.
    double spent() const {
        double sum = 0;
        for (const double price : prices) sum += price;
        sum *= static_cast<double>(floor);
        if (!spare) return sum;
        std::vector<double> dearest(prices);
        std::sort(dearest.begin(), dearest.end(), std::greater<>());
        for (std::int64_t i = 0; i < spare; ++i) sum += dearest[static_cast<std::size_t>(i)];
        return sum;
    }

    // Moves every price to the middle of the interval that is best for the ranked cells; returns by
    // how much all moved, of all.
    double move() {
        double moved = 0, all = 0;
        const double line = spare ? middle(at()[order[static_cast<std::size_t>(spare)]], least_up())
                                  : 0;
        const std::vector<bool> up = raised();
        for (std::size_t v = 0; v < size(); ++v) {
            double price;
            if (!spare)
                price = middle(at()[v], above()[v]);
            else if (up[v])
                price = middle(std::max(below()[v], line), at()[v]);
            else
                price = middle(at()[v], std::min(above()[v], line));
            steps[v] = std::fabs(price - prices[v]);
            moved += steps[v];
            all += std::fabs(price);
            prices[v] = price;
        }
        return moved / all;
    }

private:
    double least_up() const {
        double least = kInf;
        for (std::int64_t i = 0; i < spare; ++i)
            least = std::min(least, at()[order[static_cast<std::size_t>(i)]]);
        return least;
    }

    std::vector<bool> raised() const {
        std::vector<bool> up(size());
        for (std::int64_t i = 0; i < spare; ++i) up[order[static_cast<std::size_t>(i)]] = true;
        return up;
    }

    // The middle of an interval, or its finite end.
    static double middle(double low, double high) {
        if (!std::isfinite(low)) low = high;
        if (!std::isfinite(high)) high = low;
        const double found = low + (high - low) / 2;
        return std::isfinite(found) ? found : 0;
    }
};

template <class T>
class Descent {
public:
    Descent(Scores<T> scores, std::int64_t edges, double* out_prices, double* in_prices,
            Stopping stopping)
        : scores_(scores),
          outs_(scores.rows, edges, out_prices),
          ins_(scores.columns, edges, in_prices),
          out_prices_(out_prices),
          in_prices_(in_prices),
          stopping_(stopping) {}
    ~Descent() { CellsByColumn<T>::own().shrink(scores_.widened()); }

    // Leaves the prices of the lowest bound; returns whether it had stopped falling.
    bool run() {
        std::vector<double> start(ins_.prices), last;
        double last_bound = kInf, steps = 0;
        look_at_few(start);
        for (std::int64_t sweep = 0; sweep < stopping_.sweeps; ++sweep) {
            const double earned_out = rank(outs_, [&](Ranking ranking) {
                return rank_rows(scores_, start.data(), ranking);
            });
            const double half = ins_.spent() + earned_out;
            ins_.expect(outs_.move());
            const double earned_in = rank(ins_, [&](Ranking ranking) {
                return ColumnRanks<T>(scores_, outs_.prices.data(), ranking).rank();
            });
            const double bound = outs_.spent() + earned_in;
            last = ins_.prices;
            outs_.expect(ins_.move());
            const double gain = lower(bound);
            if (std::fabs(gain) <= stopping_.settled * std::fabs(bound)) return true;
            if (gain <= 0 || (stopping_.quick && !promises(sweep, half, bound))) return false;
            steps = bound < last_bound ? steps + 1 : 0;
            go_ahead(last, start, steps);
            last_bound = bound;
        }
        return false;
    }

private:
    // Ranks the first rows alone, to learn how far the prices will rise, most of them.
    void look_at_few(const std::vector<double>& ins) {
        constexpr std::size_t kFew = 64;
        constexpr double kMost = 0.9, kWide = 1.5;
        Scores<T> few = scores_;
        few.rows = std::min(few.rows, kFew);
        rank_rows(few, ins.data(), outs_.ranking());
        std::vector<double> rises(few.rows);
        for (std::size_t u = 0; u < few.rows; ++u) {
            rises[u] = std::fabs(outs_.at()[u] / outs_.prices[u] - 1);
            if (!std::isfinite(rises[u])) return;
        }
        const auto most = rises.begin() + static_cast<std::ptrdiff_t>(kMost * (few.rows - 1));
        std::nth_element(rises.begin(), most, rises.end());
        const std::vector<double> lows(outs_.lows);
        outs_.expect(kWide * *most);
        outs_.lows = lows;
    }

    // Notes the prices where they bound lower than any before; returns by how much.
    double lower(double bound) {
        const double gain = best_ - bound;
        if (!(gain > 0)) return gain;
        best_ = bound;
        std::copy(outs_.prices.begin(), outs_.prices.end(), out_prices_);
        std::copy(ins_.prices.begin(), ins_.prices.end(), in_prices_);
        return gain;
    }

    // Whether sweeps after one of the first two are worth it. Where its second half closed little of
    // the gap, the graph is not better than that; and a small gap after the first is good enough.
    bool promises(std::int64_t sweep, double half, double bound) const {
        constexpr double kMuch = 0.45, kMuchLater = 0.3, kSmall = 5e-3;
        if (sweep > 1) return true;
        const double much = sweep ? kMuchLater : kMuch, small = sweep ? 0 : kSmall;
        return half - bound >= much * (half - stopping_.kept) &&
               bound - stopping_.kept > small * std::fabs(bound);
    }

    // Ranks a side; returns what it keeps at most, net of the prices of the other.
    template <class Rank>
    static double rank(PricedSide& side, Rank ranks) {
        const double sum = ranks(side.ranking());
        if (!side.spare) return sum;
        side.put_dearest_first();
        return sum + side.earned_above();
    }

    // Starts beyond the last step, the further the longer all steps have gone down.
    void go_ahead(const std::vector<double>& last, std::vector<double>& start, double steps) const {
        const double share = steps > 1 ? (steps - 1) / (steps + 2) : 0;
        for (std::size_t v = 0; v < start.size(); ++v)
            start[v] = ins_.prices[v] + share * (ins_.prices[v] - last[v]);
    }

    Scores<T> scores_;
    PricedSide outs_, ins_;
    double *out_prices_, *in_prices_;
    Stopping stopping_;
    double best_ = kInf;
};

}  // namespace raiw
