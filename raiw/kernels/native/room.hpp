// Memory that a thread keeps: fresh pages cost as much as reading scores.
#pragma once

#include <cstdlib>
#include <new>

namespace raiw {

// Room for so many values, which are not initialized.
template <class Value>
class Room {
public:
    Room() = default;
    Room(const Room&) = delete;
    Room& operator=(const Room&) = delete;
    ~Room() { std::free(values_); }

    Value* values() const { return values_; }
    std::size_t size() const { return size_; }

    void make(std::size_t size) {
        if (size <= size_) return;
        void* larger = std::realloc(values_, size * sizeof(Value));
        if (!larger) throw std::bad_alloc();
        values_ = static_cast<Value*>(larger);
        size_ = size;
    }
    void release() {
        std::free(values_);
        values_ = nullptr;
        size_ = 0;
    }

private:
    Value* values_ = nullptr;
    std::size_t size_ = 0;
};

}  // namespace raiw
