// SPDX-License-Identifier: Apache-2.0
// ringkeep._ringkeep: what of the Python package needs C++. The package's Python files are what people call, and where
// each call is described.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstring>
#include <memory>
#include <span>

#include "python/view.h"

namespace py = pybind11;

namespace rk::python {
namespace {

// The exception that the package has for a failure of the library.
void raise(const rk::Failure& failure) {
  const std::string words = failure.words();
  const auto text = py::reinterpret_steal<py::object>(
      PyUnicode_DecodeUTF8(words.data(), static_cast<Py_ssize_t>(words.size()), "replace"));
  if (!text) throw py::error_already_set();
  const py::object error =
      py::module_::import("ringkeep._errors").attr("of_code")(failure.code(), rk_error_name(failure.code()), text);
  PyErr_SetObject(py::type::of(error).ptr(), error.ptr());
}

// Of work that waits, done without the interpreter's lock.
template <class Work>
auto result_of(Work&& work) {
  std::optional<decltype(work())> result;
  without_lock([&] { result.emplace(work()); });
  return *std::move(result);
}

void require_no_views(const Memory& memory, const char* what) {
  if (memory.views == 0) return;
  throw py::buffer_error(std::string("cannot ") + what + ": " + std::to_string(memory.views) +
                         " view(s) of the checkpoint's memory in use (memoryviews, or arrays made of them); nothing "
                         "was changed, let go of them and try again");
}

std::shared_ptr<Session> open(const std::string& socket_path, std::uint32_t timeout_ms, bool fenced) {
  return result_of([&] { return std::make_shared<Session>(socket_path, timeout_ms, fenced); });
}

std::shared_ptr<Writing> begin(const std::shared_ptr<Session>& session, const std::string& name,
                               const std::vector<std::pair<std::string, std::size_t>>& sizes) {
  session->require_usable();
  std::vector<rk::Section> sections;
  sections.reserve(sizes.size());
  for (const auto& [section, size] : sizes) sections.push_back({section, size});
  return result_of([&] { return Writing::begin(session, name, sections); });
}

std::shared_ptr<Reading> read(const std::shared_ptr<Session>& session, const std::string& name, std::uint64_t version,
                              bool verified) {
  session->require_usable();
  return result_of([&] { return Reading::open(session, name, version, verified); });
}

void verify(const std::shared_ptr<Reading>& reading) {
  if (reading->ended) throw rk::Failure(RK_ERR_INVALID_ARGUMENT, "the reader was closed: read again");
  reading->session().require_usable();
  without_lock([&] { reading->verify(); });
}

std::uint64_t commit(const std::shared_ptr<Writing>& writing, int level) {
  if (writing->ended) throw rk::Failure(RK_ERR_INVALID_ARGUMENT, "the writer was ended: begin another");
  writing->session().require_usable();
  require_no_views(*writing, "commit");
  writing->ended = true;  // no other thread gets a view from here on
  return result_of([&] { return writing->commit(static_cast<rk_level>(level)); });
}

void commit_async(const std::shared_ptr<Writing>& writing, int level, std::uint64_t tag) {
  if (writing->ended) throw rk::Failure(RK_ERR_INVALID_ARGUMENT, "the writer was ended: begin another");
  writing->session().require_usable();
  require_no_views(*writing, "commit");
  writing->ended = true;  // as in commit()
  try {
    without_lock([&] { writing->commit_async(static_cast<rk_level>(level), tag); });
  } catch (const rk::Failure&) {
    writing->ended = false;
    throw;
  }
}

// The bytes are in use meanwhile, as in copy().
void hand_over(const std::shared_ptr<Session>& session, const std::string& name, const py::object& data,
               std::uint64_t tag, int level, bool more) {
  session->require_usable();
  Py_buffer from;
  if (PyObject_GetBuffer(data.ptr(), &from, PyBUF_C_CONTIGUOUS) != 0) throw py::error_already_set();
  const std::unique_ptr<Py_buffer, void (*)(Py_buffer*)> held(&from, PyBuffer_Release);
  const std::span bytes(static_cast<const std::byte*>(from.buf), static_cast<std::size_t>(from.len));
  without_lock([&] { put_async(*session, name, bytes, tag, {.level = static_cast<rk_level>(level), .more = more}); });
}

// (tag, version, code, name of the code, words) of each.
py::list outcomes_of(const std::shared_ptr<Session>& session, std::uint32_t timeout_ms) {
  session->require_usable();
  py::list out;
  for (const rk::Outcome& outcome : result_of([&] { return outcomes(*session, timeout_ms); }))
    out.append(py::make_tuple(outcome.tag, outcome.version, outcome.code, rk_error_name(outcome.code),
                              py::reinterpret_steal<py::object>(PyUnicode_DecodeUTF8(
                                  outcome.words.data(), static_cast<Py_ssize_t>(outcome.words.size()), "replace"))));
  return out;
}

void close(const std::shared_ptr<Memory>& memory) {
  require_no_views(*memory, "close");
  end(*memory);
}

// Both buffers are in use meanwhile, so neither goes away while the interpreter's lock is not held.
void copy(const py::object& view, const py::object& data) {
  Py_buffer to;
  Py_buffer from;
  if (PyObject_GetBuffer(view.ptr(), &to, PyBUF_WRITABLE) != 0) throw py::error_already_set();
  if (PyObject_GetBuffer(data.ptr(), &from, PyBUF_C_CONTIGUOUS) != 0) {
    PyBuffer_Release(&to);
    throw py::error_already_set();
  }
  const bool fits = to.len == from.len;
  if (fits && to.len > 0) without_lock([&] { std::memcpy(to.buf, from.buf, static_cast<std::size_t>(to.len)); });
  const std::string sizes = std::to_string(to.len) + " bytes and the data " + std::to_string(from.len);
  PyBuffer_Release(&from);
  PyBuffer_Release(&to);
  if (!fits) throw rk::Failure(RK_ERR_INVALID_ARGUMENT, ("the section has " + sizes).c_str());
}

std::vector<std::pair<std::string, std::size_t>> sections_of(const Memory& memory) {
  std::vector<std::pair<std::string, std::size_t>> out;
  for (const Place& place : memory.places()) out.emplace_back(place.name, place.size);
  return out;
}

// A checkpoint that nobody refers to is ended. Not by a C++ destructor, because it waits: see without_lock().
void deallocate_memory(PyObject* self) {
  PyObject *type = nullptr, *value = nullptr, *trace = nullptr;
  PyErr_Fetch(&type, &value, &trace);
  if (reinterpret_cast<py::detail::instance*>(self)->get_value_and_holder().holder_constructed())
    end(py::handle(self).cast<Memory&>());
  PyErr_Restore(type, value, trace);
  py::detail::pybind11_object_dealloc(self);
}

void define(py::module_& module) {
  py::class_<Session, std::shared_ptr<Session>>(module, "Session")
      .def(py::init(&open), py::arg("socket_path"), py::arg("timeout_ms"), py::arg("fenced"))
      .def("begin", &begin, py::arg("name"), py::arg("sections"))
      .def("read", &read, py::arg("name"), py::arg("version"), py::arg("verified"))
      .def("delete",
           [](const std::shared_ptr<Session>& session, const std::string& name) {
             session->require_usable();
             without_lock([&] { remove(*session, name); });
           })
      .def("put_async", &hand_over, py::arg("name"), py::arg("data"), py::arg("tag"), py::arg("level"), py::arg("more"))
      .def("outcomes", &outcomes_of, py::arg("timeout_ms"))
      .def("descriptor",
           [](const std::shared_ptr<Session>& session) {
             session->require_usable();
             return result_of([&] { return descriptor(*session); });
           })
      .def("close", &Session::close)
      .def_property_readonly("closed", &Session::closed);
  py::class_<Memory, std::shared_ptr<Memory>>(module, "Memory", py::custom_type_setup([](PyHeapTypeObject* heap) {
                                                heap->ht_type.tp_dealloc = deallocate_memory;
                                              }))
      .def("view", &view, py::arg("section"))
      .def("close", &close)
      .def("end", [](const std::shared_ptr<Memory>& memory) { end(*memory); })
      .def_property_readonly("ended", [](const Memory& memory) { return memory.ended; })
      .def_property_readonly("sections", &sections_of);
  py::class_<Writing, Memory, std::shared_ptr<Writing>>(module, "Writing")
      .def("commit", &commit, py::arg("level"))
      .def("commit_async", &commit_async, py::arg("level"), py::arg("tag"));
  py::class_<Reading, Memory, std::shared_ptr<Reading>>(module, "Reading")
      .def("verify", &verify)
      .def_property_readonly("version", &Reading::version);
  module.def("copy", &copy, py::arg("view"), py::arg("data"));
  module.def("library_version", [] { return std::string(rk_version()); });
}

}  // namespace
}  // namespace rk::python

// The macro's own lines are not ours to check: NOLINTNEXTLINE
PYBIND11_MODULE(_ringkeep, module) {
  module.doc() = "The C++ part of the package ringkeep; use the package.";
  py::register_local_exception_translator([](std::exception_ptr thrown) {
    try {
      if (thrown) std::rethrow_exception(std::move(thrown));
    } catch (const rk::Failure& failure) {
      rk::python::raise(failure);
    }
  });
  rk::python::make_view_type();
  rk::python::define(module);
}
