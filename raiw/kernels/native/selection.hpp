// The best of many numbers, found by counting how many lie above lines between them.
#pragma once

#include <algorithm>
#include <functional>

#include "rows.hpp"

namespace raiw {

template <class T>
struct Selection {
    std::vector<T> values;  // and what an earlier call left behind them

    // Sorts those in places `start` to `end` of so many numbers, the best of them having place 1,
    // and few others. All lie above `low`, none above `high`. Returns how many come before those
    // sorted.
    std::size_t select(T low, T high, const T* numbers, std::size_t count, std::size_t start,
                       std::size_t end) {
        constexpr std::size_t kFew = 12;
        constexpr T kInf = std::numeric_limits<T>::infinity();
        start = std::min(start, count), end = std::min(end, count);
        std::size_t before = 0, until = count;  // so many are above `high`, and above `low`
        T least = low, most = high;
        if (count > kFew && !(low >= kLowest<T> && high < kInf)) {
            least = kInf, most = -kInf;
            find_range(numbers, count, &least, &most);
        }
        T fits = least, falls = most;  // at least `start` lie above the one, fewer than `end` the other
        while (until - before > kFew) {
            const bool upper = start - before > until - end;
            const T from = upper ? fits : least, to = upper ? most : falls;
            const T line = from + (to - from) / 2;
            if (!(line > from && line < to)) break;
            const std::size_t over = count_above(numbers, count, line);
            if (over < start)
                high = most = line, before = over;
            else
                fits = std::max(fits, line);
            if (over >= end)
                low = least = line, until = over;
            else
                falls = std::min(falls, line);
        }
        const auto found = static_cast<std::ptrdiff_t>(pick(numbers, count, low, high));
        std::sort(values.begin(), values.begin() + found, std::greater<>());
        return before;
    }

    // Keeps the numbers above `low` and not above `high`; returns how many there are.
    std::size_t pick(const T* numbers, std::size_t count, T low, T high) {
        if (values.size() < count + kSlack) values.resize(count + kSlack);
        return pick_between(numbers, count, low, high, values.data());
    }
};

}  // namespace raiw
