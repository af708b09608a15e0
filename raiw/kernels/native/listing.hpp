// A growing list of candidates, whose memory a thread keeps.
#pragma once

#include "candidates.hpp"
#include "room.hpp"

namespace raiw {

template <class Candidate>
class Listing {
public:
    static Listing& own() {
        static thread_local Listing listing;
        return listing;
    }

    Candidate* candidates() const { return list_.values(); }
    std::size_t count() const { return count_; }
    void clear() { count_ = 0; }

    // Room for as many candidates as are listed.
    Candidate* spare() {
        spare_.make(count_);
        return spare_.values();
    }

    // Lists some columns of a row.
    template <class T>
    void add(const T* row, Vertex u, const Vertex* columns, std::size_t count) {
        Candidate* to = room_for(count);
        for (std::size_t i = 0; i < count; ++i) to[i] = Candidate(row[columns[i]], u, columns[i]);
        count_ += count;
    }

    // Lists the columns of a row whose bits are set.
    template <class T>
    void add(const T* row, Vertex u, const Word* bits, std::size_t words) {
        Candidate* to = room_for(static_cast<std::size_t>(count_bits(bits, words)));
        const Candidate* first = to;
        for (std::size_t w = 0; w < words; ++w)
            each_bit(bits[w], static_cast<Vertex>(64 * w),
                     [&](Vertex v) { *to++ = Candidate(row[v], u, v); });
        count_ += static_cast<std::size_t>(to - first);
    }

    // Where so many more may be written, of which `grow` lists the first.
    Candidate* room_for(std::size_t more) {
        if (count_ + more > list_.size()) list_.make(count_ + more + list_.size() / 8);
        return list_.values() + count_;
    }
    void grow(std::size_t more) { count_ += more; }

    // Gives back memory for more than so many candidates.
    void keep(std::size_t most) {
        if (list_.size() > most) list_.release();
        if (spare_.size() > most) spare_.release();
    }

private:
    Room<Candidate> list_, spare_;
    std::size_t count_ = 0;
};

}  // namespace raiw
