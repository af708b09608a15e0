// What Python hands to a kernel: arguments are read in turn, checked before the kernel sees them,
// and named in their errors. So a kernel computes without checks, and stays within its arrays.
// The caller sees to it that nobody writes to them meanwhile.
#pragma once

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>

#include <cstring>
#include <deque>
#include <limits>
#include <string>

#include "graph.hpp"

namespace raiw {

// Sets a Python error; the message names the argument, its value and what is wanted.
struct Refused {};
template <class... Values>
[[noreturn]] void refuse(PyObject* kind, const char* format, Values... values) {
    PyErr_Clear();
    PyErr_Format(kind, format, values...);
    throw Refused{};
}

// The types of numbers in arrays, and the codes by which buffers tell them.
struct Double {
    using Value = double;
    static constexpr const char *name = "float64", *codes = "d";
};
struct Whole {
    using Value = std::int64_t;
    static constexpr const char *name = "int64", *codes = "lq";
};
struct Word32 {
    using Value = std::uint32_t;
    static constexpr const char *name = "uint32", *codes = "IL";
};
struct Byte {
    using Value = std::uint8_t;
    static constexpr const char *name = "uint8", *codes = "B";
};
struct Flag {
    using Value = std::uint8_t;
    static constexpr const char *name = "bool", *codes = "?";
};

// Scores of the type that their buffer holds.
struct AnyScores {
    const std::uint8_t* bytes;
    std::size_t rows, columns;
    bool doubles;
    Stored stored;

    std::int64_t cells() const { return static_cast<std::int64_t>(rows * columns); }

    // Calls kernel(Scores<float>) or kernel(Scores<double>).
    template <class Kernel>
    void visit(Kernel kernel) const {
        doubles ? visit_as<double>(kernel) : visit_as<float>(kernel);
    }

private:
    template <class T, class Kernel>
    void visit_as(Kernel kernel) const {
        std::vector<T> scratch(stored == Stored::in_place ? 0 : columns);
        kernel(Scores<T>{bytes, rows, columns, stored, scratch.data()});
    }
};

template <class T>
struct Line {
    T* values;
    std::size_t length;
};

enum class Access { read, write };

class Arguments {
public:
    // Degrees and vertices are counted in 32 bits.
    static constexpr Py_ssize_t kMostVertices = std::numeric_limits<std::int32_t>::max();
    static constexpr std::size_t kAny = ~std::size_t{0};  // any length

    explicit Arguments(PyObject* tuple) : tuple_(tuple) {}
    ~Arguments() {
        for (Held& held : held_) PyBuffer_Release(&held.view);
    }
    Arguments(const Arguments&) = delete;
    Arguments& operator=(const Arguments&) = delete;

    // (out, in) scores: binary16, bfloat16 viewed as uint16, float or double, at any address.
    AnyScores scores(const char* name) {
        const Py_buffer& view = hold(name, Access::read);
        const char code = code_of(view, name);
        const Py_ssize_t item = code == 'd' ? 8 : code == 'f' ? 4 : 2;
        if (!std::strchr("eHfd", code) || view.itemsize != item)
            refuse_type(view, name, "float16, bfloat16 viewed as uint16, float32 or float64");
        require_sides(view, name);
        const Stored stored = code == 'e'              ? Stored::half
                              : code == 'H'            ? Stored::brain
                              : is_aligned(view, item) ? Stored::in_place
                                                       : Stored::unaligned;
        return {static_cast<const std::uint8_t*>(view.buf), side(view, 0), side(view, 1),
                code == 'd', stored};
    }

    // The packed rows of a graph. No bit is set past its last column.
    Bits graph(const char* name, std::size_t rows, std::size_t columns, Access access) {
        const Py_buffer& view = hold_of<Byte>(name, access);
        const std::size_t stride = (columns + 7) / 8;
        require_shape(view, name, {rows, stride});
        const Bits graph{static_cast<std::uint8_t*>(view.buf), rows, columns, stride};
        const unsigned padding = columns % 8 ? 0xFFu << columns % 8 & 0xFFu : 0;
        for (Vertex u = 0; u < rows; ++u)
            if (graph.row(u)[stride - 1] & padding)
                refuse(PyExc_ValueError, "%s has bits past input %zu in row %zu: zeros are wanted",
                       name, columns - 1, std::size_t{u});
        return graph;
    }

    // The packed rows of a graph, of as many columns as there are bits.
    Bits graph(const char* name) {
        const Py_buffer& view = hold_of<Byte>(name, Access::read);
        require_sides(view, name);
        return {static_cast<std::uint8_t*>(view.buf), side(view, 0), 8 * side(view, 1),
                side(view, 1)};
    }

    // Packed rows to fill, all zero; of as many columns as there are bits.
    Bits empty_graph(const char* name) {
        const Py_buffer& view = hold_of<Byte>(name, Access::write);
        require_sides(view, name);
        const Bits graph{static_cast<std::uint8_t*>(view.buf), side(view, 0), 8 * side(view, 1),
                         side(view, 1)};
        std::uint8_t any = 0;
        for (std::size_t i = 0; i < graph.rows * graph.stride; ++i) any |= graph.bytes[i];
        if (any) refuse(PyExc_ValueError, "%s has edges: zeros are wanted", name);
        return graph;
    }
    Bits empty_graph(const char* name, std::size_t rows, std::size_t columns) {
        Bits graph = empty_graph(name);
        require_shape(held_.back().view, name, {rows, (columns + 7) / 8});
        graph.columns = columns;
        return graph;
    }

    template <class Type>
    Line<const typename Type::Value> line(const char* name, std::size_t length = kAny) {
        const Py_buffer& view = hold_of<Type>(name, Access::read);
        require_shape(view, name, {length});
        return {static_cast<const typename Type::Value*>(view.buf), side(view, 0)};
    }
    template <class Type>
    typename Type::Value* written(const char* name, std::initializer_list<std::size_t> shape) {
        const Py_buffer& view = hold_of<Type>(name, Access::write);
        require_shape(view, name, shape);
        return static_cast<typename Type::Value*>(view.buf);
    }

    // All numbers of an array of any shape, row by row.
    template <class Type>
    Line<const typename Type::Value> numbers(const char* name) {
        const Py_buffer& view = hold_of<Type>(name, Access::read);
        return {static_cast<const typename Type::Value*>(view.buf), count(view)};
    }
    template <class Type>
    Line<typename Type::Value> written_numbers(const char* name) {
        const Py_buffer& view = hold_of<Type>(name, Access::write);
        return {static_cast<typename Type::Value*>(view.buf), count(view)};
    }

    std::int64_t whole(const char* name, std::int64_t least, std::int64_t most) {
        PyObject* given = next(name);
        const Owned index = index_of(given, name);
        int beyond = 0;
        const long long value = PyLong_AsLongLongAndOverflow(index.object, &beyond);
        if (beyond || value < least || value > most)
            refuse(PyExc_ValueError, "%s is %R: %lld to %lld is wanted", name, index.object,
                   static_cast<long long>(least), static_cast<long long>(most));
        return value;
    }

    std::uint64_t key(const char* name) {
        PyObject* given = next(name);
        const Owned index = index_of(given, name);
        const unsigned long long value = PyLong_AsUnsignedLongLong(index.object);
        if (PyErr_Occurred())
            refuse(PyExc_ValueError, "%s is %R: 0 to 2**64 - 1 is wanted", name, index.object);
        return value;
    }

    double number(const char* name) {
        PyObject* given = next(name);
        const double value = PyFloat_AsDouble(given);
        if (PyErr_Occurred()) refuse(PyExc_TypeError, "%s is %R: a number is wanted", name, given);
        return value;
    }

    bool truth(const char* name) {
        const int value = PyObject_IsTrue(next(name));
        if (value < 0) throw Refused{};
        return value;
    }

    // What a capsule of this kind holds.
    template <class Type>
    const Type& held_by(const char* name, const char* kind) {
        PyObject* given = next(name);
        if (!PyCapsule_IsValid(given, kind))
            refuse(PyExc_TypeError, "%s is %R: what %s returns is wanted", name, given, kind);
        return *static_cast<const Type*>(PyCapsule_GetPointer(given, kind));
    }

    // Runs a kernel without the GIL, once all arguments are read.
    template <class Kernel>
    void run(Kernel kernel) {
        if (const Py_ssize_t given = PyTuple_Size(tuple_); given != taken_)
            refuse(PyExc_TypeError, "%zd arguments are given: %zd are wanted", given, taken_);
        require_apart();
        const Unlocked unlocked;
        kernel();
    }

private:
    struct Held {
        const char* name;
        Access access;
        Py_buffer view;
    };
    struct Owned {
        PyObject* object;
        ~Owned() { Py_XDECREF(object); }
    };
    struct Unlocked {
        PyThreadState* state = PyEval_SaveThread();
        ~Unlocked() { PyEval_RestoreThread(state); }
    };

    PyObject* next(const char* name) {
        PyObject* given = PyTuple_GetItem(tuple_, taken_++);
        if (!given) refuse(PyExc_TypeError, "%s is missing", name);
        return given;
    }

    static Owned index_of(PyObject* given, const char* name) {
        PyObject* index = PyNumber_Index(given);
        if (!index) refuse(PyExc_TypeError, "%s is %R: a whole number is wanted", name, given);
        return {index};
    }

    // Takes hold of the buffer of the next argument, contiguous by rows.
    const Py_buffer& hold(const char* name, Access access) {
        PyObject* given = next(name);
        held_.push_back({name, access, {}});
        Py_buffer& view = held_.back().view;
        const int writable = access == Access::write ? PyBUF_WRITABLE : 0;
        if (PyObject_GetBuffer(given, &view, PyBUF_FORMAT | PyBUF_STRIDES | writable) < 0) {
            if (PyErr_ExceptionMatches(PyExc_MemoryError)) throw Refused{};
            Owned kind{}, cause{}, traceback{};
            PyErr_Fetch(&kind.object, &cause.object, &traceback.object);
            refuse(PyObject_CheckBuffer(given) ? PyExc_ValueError : PyExc_TypeError,
                   "%s is %R: an array that can be %s is wanted (%S)", name, Py_TYPE(given),
                   writable ? "written" : "read", cause.object);
        }
        if (!PyBuffer_IsContiguous(&view, 'C'))
            refuse(PyExc_ValueError, "%s is not contiguous by rows: copy it", name);
        return view;
    }

    template <class Type>
    const Py_buffer& hold_of(const char* name, Access access) {
        using Value = typename Type::Value;
        const Py_buffer& view = hold(name, access);
        if (!std::strchr(Type::codes, code_of(view, name)) || view.itemsize != sizeof(Value))
            refuse_type(view, name, Type::name);
        if (!is_aligned(view, alignof(Value)))
            refuse(PyExc_ValueError, "%s is not aligned to %zu bytes: copy it", name,
                   alignof(Value));
        return view;
    }

    // The one type code of a format, '*' if there are others; '@', '=' and '<' before it are this
    // machine's order of bytes.
    static char code_of(const Py_buffer& view, const char* name) {
        const char* format = view.format ? view.format : "B";
        if (*format == '>' || *format == '!')
            refuse(PyExc_ValueError, "%s is big-endian ('%s'): swap its bytes", name, format);
        if (*format == '@' || *format == '=' || *format == '<') ++format;
        return format[0] && !format[1] ? *format : '*';
    }

    [[noreturn]] static void refuse_type(const Py_buffer& view, const char* name,
                                         const char* wanted) {
        refuse(PyExc_TypeError, "%s is of type '%s': %s is wanted", name,
               view.format ? view.format : "B", wanted);
    }

    static bool is_aligned(const Py_buffer& view, Py_ssize_t bytes) {
        return reinterpret_cast<std::uintptr_t>(view.buf) % static_cast<std::size_t>(bytes) == 0;
    }

    static std::size_t side(const Py_buffer& view, int axis) {
        return static_cast<std::size_t>(view.shape[axis]);
    }

    static std::size_t count(const Py_buffer& view) {
        return static_cast<std::size_t>(view.len / view.itemsize);
    }

    // Requires an output and an input, and no more than can be counted.
    static void require_sides(const Py_buffer& view, const char* name) {
        require_shape(view, name, {kAny, kAny});
        for (const int axis : {0, 1})
            if (view.shape[axis] < 1 || view.shape[axis] > kMostVertices)
                refuse(PyExc_ValueError, "%s has the shape %s: sides of 1 to %zd are wanted", name,
                       shown(shape_of(view)).c_str(), kMostVertices);
    }

    static void require_shape(const Py_buffer& view, const char* name,
                              std::vector<std::size_t> wanted) {
        const std::vector<std::size_t> shape = shape_of(view);
        bool fits = shape.size() == wanted.size();
        for (std::size_t axis = 0; fits && axis < shape.size(); ++axis)
            fits = wanted[axis] == kAny || wanted[axis] == shape[axis];
        if (!fits)
            refuse(PyExc_ValueError, "%s has the shape %s: %s is wanted", name,
                   shown(shape).c_str(), shown(wanted).c_str());
    }

    static std::vector<std::size_t> shape_of(const Py_buffer& view) {
        return {view.shape, view.shape + view.ndim};
    }

    static std::string shown(const std::vector<std::size_t>& shape) {
        std::string text;
        for (const std::size_t side : shape)
            text += (text.empty() ? "" : ", ") + (side == kAny ? "any" : std::to_string(side));
        return "(" + text + (shape.size() == 1 ? ",)" : ")");
    }

    // Requires that what is written lies in no other argument.
    void require_apart() const {
        for (const Held& written : held_)
            for (const Held& other : held_)
                if (written.access == Access::write && &written != &other &&
                    begin(written) < end(other) && begin(other) < end(written))
                    refuse(PyExc_ValueError, "%s shares memory with %s: copy one", written.name,
                           other.name);
    }
    static const char* begin(const Held& held) { return static_cast<const char*>(held.view.buf); }
    static const char* end(const Held& held) { return begin(held) + held.view.len; }

    std::deque<Held> held_;  // a view may point into itself, so it never moves
    PyObject* tuple_;
    Py_ssize_t taken_ = 0;
};

}  // namespace raiw
