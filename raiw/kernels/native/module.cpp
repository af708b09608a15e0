// Python binding of the crafting kernels: reads the arguments of each, and runs it.
#include "adapter.hpp"

#include <new>
#include <stdexcept>

#include "completion.hpp"
#include "descent.hpp"
#include "greedy.hpp"
#include "pricing.hpp"
#include "random_graphs.hpp"
#include "settling.hpp"
#include "sums.hpp"
#include "transposable.hpp"

namespace {

using namespace raiw;

PyObject* none() { return Py_NewRef(Py_None); }

PyObject* greedy(Arguments& given) {
    const AnyScores scores = given.scores("scores");
    const Bits graph = given.empty_graph("bits", scores.rows, scores.columns);
    const std::int64_t edges = given.whole("edges", 0, scores.cells());
    const std::uint64_t key = given.key("key");
    double* floors = given.written<Double>("floors", {scores.rows});
    given.run([&] {
        scores.visit([&](auto cells) { place_greedily(cells, graph, edges, key, floors); });
    });
    return none();
}

PyObject* complete(Arguments& given) {
    const AnyScores scores = given.scores("scores");
    const Bits graph = given.graph("bits", scores.rows, scores.columns, Access::write);
    const std::int64_t edges = given.whole("edges", 0, scores.cells());
    const double* floors = given.line<Double>("floors", scores.rows).values;
    std::int64_t swaps = 0;
    given.run([&] {
        scores.visit([&](auto cells) { swaps = Completion(cells, graph, edges, floors).run(); });
    });
    return PyLong_FromLongLong(swaps);
}

// Reads how many inputs the graph has, which its bytes tell only roughly.
void read_columns(Arguments& given, Bits& graph) {
    const auto most = static_cast<std::int64_t>(graph.columns);
    graph.columns = static_cast<std::size_t>(
        given.whole("n_in", most - 7, std::min<std::int64_t>(most, Arguments::kMostVertices)));
}

PyObject* regular(Arguments& given) {
    Bits graph = given.empty_graph("bits");
    read_columns(given, graph);
    const std::int64_t edges = given.whole("edges", 0, graph.cells());
    const std::uint64_t key = given.key("key");
    given.run([&] { RegularGraph(graph, key).build(edges); });
    return none();
}

PyObject* uniform(Arguments& given) {
    Bits graph = given.empty_graph("bits");
    read_columns(given, graph);
    const std::int64_t edges = given.whole("edges", 0, graph.cells() / 2);
    const std::uint64_t key = given.key("key");
    given.run([&] { draw_edges(graph, edges, key); });
    return none();
}

PyObject* survey_kept(Arguments& given) {
    const AnyScores scores = given.scores("scores");
    const Bits graph = given.graph("bits", scores.rows, scores.columns, Access::read);
    std::int64_t* sums = given.written<Whole>("sums", {2, kExponents});
    double* outs = given.written<Double>("out_levels", {scores.rows});
    double* ins = given.written<Double>("in_levels", {scores.columns});
    given.run([&] {
        scores.visit([&](auto cells) { raiw::survey_kept(cells, graph, sums, outs, ins); });
    });
    return none();
}

// Scores with a price for every output and every input.
struct Priced {
    AnyScores scores;
    const double *out, *ins;

    explicit Priced(Arguments& given)
        : scores(given.scores("scores")),
          out(given.line<Double>("out_prices", scores.rows).values),
          ins(given.line<Double>("in_prices", scores.columns).values) {}

    // Calls kernel(PricedScores).
    template <class Kernel>
    void visit(Kernel kernel) const {
        scores.visit([&](auto cells) { kernel(PricedScores{cells, out, ins}); });
    }
};

PyObject* add_reduced(Arguments& given) {
    const Priced priced(given);
    std::int64_t* sums = given.written<Whole>("sums", {2, kExponents});
    double highest = 0;
    given.run([&] {
        priced.visit([&](auto cells) { highest = raiw::add_reduced(cells, sums); });
    });
    return PyFloat_FromDouble(highest);
}

PyObject* mark_above(Arguments& given) {
    const Priced priced(given);
    const double line = given.number("line");
    const Bits graph =
        given.graph("bits", priced.scores.rows, priced.scores.columns, Access::write);
    std::int64_t found = 0;
    given.run([&] {
        priced.visit([&](auto cells) { found = raiw::mark_above(cells, line, graph); });
    });
    return PyLong_FromLongLong(found);
}

PyObject* mark_best(Arguments& given) {
    const Priced priced(given);
    const double* out_lines = given.line<Double>("out_lines", priced.scores.rows).values;
    const double* in_lines = given.line<Double>("in_lines", priced.scores.columns).values;
    const Bits graph =
        given.graph("bits", priced.scores.rows, priced.scores.columns, Access::write);
    given.run([&] {
        priced.visit([&](auto cells) { raiw::mark_best(cells, out_lines, in_lines, graph); });
    });
    return none();
}

PyObject* count_tied(Arguments& given) {
    const AnyScores scores = given.scores("scores");
    const Bits graph = given.graph("bits", scores.rows, scores.columns, Access::read);
    const double score = given.number("score");
    std::int64_t tied = 0;
    given.run([&] {
        scores.visit([&](auto cells) {
            tied = raiw::count_tied(cells, graph, static_cast<decltype(cells(0, 0))>(score));
        });
    });
    return PyLong_FromLongLong(tied);
}

PyObject* survey(Arguments& given) {
    const AnyScores scores = given.scores("scores");
    const bool finite = given.truth("finite");
    Survey found;
    given.run([&] { scores.visit([&](auto cells) { found = raiw::survey(cells, finite); }); });
    return Py_BuildValue("LK", static_cast<long long>(found.bad),
                         static_cast<unsigned long long>(found.print));
}

PyObject* finite_range(Arguments& given) {
    const AnyScores scores = given.scores("scores");
    double lowest = 0, highest = 0;
    given.run([&] {
        scores.visit([&](auto cells) {
            const auto range = raiw::finite_range(cells);
            lowest = range.lowest(), highest = range.highest();
        });
    });
    return Py_BuildValue("dd", lowest, highest);
}

PyObject* count_degrees(Arguments& given) {
    Bits graph = given.graph("bits");
    read_columns(given, graph);
    std::int64_t* outs = given.written<Whole>("out_degrees", {graph.rows});
    std::int64_t* ins = given.written<Whole>("in_degrees", {graph.columns});
    given.run([&] { raiw::count_degrees(graph, outs, ins); });
    return none();
}

PyObject* count_components(Arguments& given) {
    Bits graph = given.graph("bits");
    read_columns(given, graph);
    std::int64_t components = 0;
    given.run([&] { components = raiw::count_components(graph); });
    return PyLong_FromLongLong(components);
}

// Ranks the cells of every line of `lines`, which has `others` of them.
template <class Rank>
PyObject* rank(Arguments& given, const AnyScores& scores, std::size_t lines, std::size_t others,
               Rank rank_lines) {
    const double* prices = given.line<Double>("prices", others).values;
    const double* lows = given.line<Double>("lows", lines).values;
    const double* highs = given.line<Double>("highs", lines).values;
    const auto k = static_cast<std::size_t>(
        given.whole("k", 0, static_cast<std::int64_t>(others)));
    const Ranking ranking{k, lines, lows, highs, given.written<Double>("ranked", {3, lines})};
    double sum = 0;
    given.run([&] {
        scores.visit([&](auto cells) { sum = rank_lines(cells, prices, ranking); });
    });
    return PyFloat_FromDouble(sum);
}

PyObject* rank_rows(Arguments& given) {
    const AnyScores scores = given.scores("scores");
    return rank(given, scores, scores.rows, scores.columns,
                [](auto... all) { return raiw::rank_rows(all...); });
}

PyObject* rank_columns(Arguments& given) {
    const AnyScores scores = given.scores("scores");
    return rank(given, scores, scores.columns, scores.rows,
                [](auto... all) { return raiw::rank_columns(all...); });
}

PyObject* descend(Arguments& given) {
    const AnyScores scores = given.scores("scores");
    const std::int64_t edges = given.whole("edges", 0, scores.cells());
    double* outs = given.written<Double>("out_prices", {scores.rows});
    double* ins = given.written<Double>("in_prices", {scores.columns});
    Stopping stopping{};
    stopping.sweeps = given.whole("sweeps", 0, 1 << 20);
    stopping.settled = given.number("settled");
    stopping.kept = given.number("kept");
    stopping.quick = given.truth("quick");
    bool settled = false;
    given.run([&] {
        scores.visit([&](auto cells) {
            settled = Descent(cells, edges, outs, ins, stopping).run();
        });
    });
    return PyBool_FromLong(settled);
}

PyObject* edge_keys(Arguments& given) {
    const std::uint64_t key = given.key("key");
    const auto edges = given.line<Whole>("edges");
    std::uint32_t* keys = given.written<Word32>("keys", {edges.length});
    given.run([&] {
        EdgeKeys(key).of(reinterpret_cast<const std::uint64_t*>(edges.values), edges.length, keys);
    });
    return none();
}

PyObject* add_numbers(Arguments& given) {
    const auto numbers = given.line<Double>("numbers");
    std::int64_t* sums = given.written<Whole>("sums", {2, kExponents});
    given.run([&] {
        for (std::size_t i = 0; i < numbers.length; ++i) add_exactly(numbers.values[i], sums);
    });
    return none();
}

// Requires whole numbers from 0 to `most`, each at least the one before it if they ascend.
void require_within(const char* name, Line<const std::int64_t> line, std::size_t most,
                    bool ascending) {
    std::int64_t least = 0;
    for (std::size_t i = 0; i < line.length; ++i) {
        const std::int64_t value = line.values[i];
        if (value < least || value > static_cast<std::int64_t>(most))
            refuse(PyExc_ValueError, "%s holds %lld at %zu: %lld to %zu is wanted", name,
                   static_cast<long long>(value), i, static_cast<long long>(least), most);
        if (ascending) least = value;
    }
}

PyObject* settle(Arguments& given) {
    const auto starts = given.line<Whole>("starts");
    const auto columns = given.line<Whole>("columns");
    const double* scores = given.line<Double>("scores", columns.length).values;
    const std::uint8_t* kept = given.line<Flag>("kept", columns.length).values;
    const auto out_above = given.line<Flag>("out_above"), in_above = given.line<Flag>("in_above");
    const std::size_t outputs = out_above.length, inputs = in_above.length;
    double* out_prices = given.written<Double>("out_prices", {outputs});
    double* in_prices = given.written<Double>("in_prices", {inputs});
    const double tolerance = given.number("tolerance");
    const std::int64_t rounds =
        given.whole("rounds", 0, static_cast<std::int64_t>(outputs + inputs + 2));
    if (starts.length != outputs + 1)
        refuse(PyExc_ValueError, "starts holds %zu numbers: %zu are wanted, one more than outputs",
               starts.length, outputs + 1);
    require_within("starts", starts, columns.length, true);
    require_within("columns", columns, inputs - 1, false);
    bool settled = false;
    given.run([&] {
        settled = Settling({starts.values, columns.values, scores, kept, outputs, inputs,
                            out_above.values, in_above.values, out_prices, in_prices, tolerance})
                      .settle(rounds);
    });
    return PyBool_FromLong(settled);
}

PyObject* transposable(Arguments& given) {
    const AnyScores scores = given.scores("scores");
    const Bits graph = given.empty_graph("bits", scores.rows, scores.columns);
    const auto m = static_cast<int>(given.whole("m", 1, kWidest));
    const auto n = static_cast<int>(given.whole("n", 0, m));
    if (scores.rows % static_cast<std::size_t>(m) || scores.columns % static_cast<std::size_t>(m))
        refuse(PyExc_ValueError, "m is %d: a divisor of both sides of (%zu, %zu) is wanted", m,
               scores.rows, scores.columns);
    std::int64_t forbidden = 0;
    given.run([&] { scores.visit([&](auto cells) { forbidden = solve_all_blocks(cells, graph, m, n); }); });
    return PyLong_FromLongLong(forbidden);
}

template <PyObject* (*kernel)(Arguments&)>
PyObject* call(PyObject*, PyObject* tuple) {
    try {
        Arguments given(tuple);
        return kernel(given);
    } catch (const Refused&) {
        return nullptr;
    } catch (const std::bad_alloc&) {
        return PyErr_NoMemory();
    }
}

PyMethodDef kMethods[] = {
    {"greedy", call<greedy>, METH_VARARGS, nullptr},
    {"complete", call<complete>, METH_VARARGS, nullptr},
    {"regular", call<regular>, METH_VARARGS, nullptr},
    {"uniform", call<uniform>, METH_VARARGS, nullptr},
    {"survey_kept", call<survey_kept>, METH_VARARGS, nullptr},
    {"add_reduced", call<add_reduced>, METH_VARARGS, nullptr},
    {"mark_above", call<mark_above>, METH_VARARGS, nullptr},
    {"mark_best", call<mark_best>, METH_VARARGS, nullptr},
    {"count_tied", call<count_tied>, METH_VARARGS, nullptr},
    {"survey", call<survey>, METH_VARARGS, nullptr},
    {"finite_range", call<finite_range>, METH_VARARGS, nullptr},
    {"rank_rows", call<rank_rows>, METH_VARARGS, nullptr},
    {"rank_columns", call<rank_columns>, METH_VARARGS, nullptr},
    {"count_degrees", call<count_degrees>, METH_VARARGS, nullptr},
    {"count_components", call<count_components>, METH_VARARGS, nullptr},
    {"descend", call<descend>, METH_VARARGS, nullptr},
    {"edge_keys", call<edge_keys>, METH_VARARGS, nullptr},
    {"add_numbers", call<add_numbers>, METH_VARARGS, nullptr},
    {"settle", call<settle>, METH_VARARGS, nullptr},
    {"transposable", call<transposable>, METH_VARARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

PyModuleDef kModule = {PyModuleDef_HEAD_INIT, "raiw.kernels.compiled", nullptr, 0, kMethods,
                       nullptr,               nullptr,                 nullptr, nullptr};

}  // namespace

PyMODINIT_FUNC PyInit_compiled() { return PyModuleDef_Init(&kModule); }
