// SPDX-License-Identifier: Apache-2.0
#include "python/view.h"

#include <new>

namespace py = pybind11;

namespace rk::python {
namespace {

// The object that a memoryview, and all that is made of it, keeps alive and asks for the address.
struct Exporter {
  PyObject ob_base;  // what PyObject_HEAD declares
  std::shared_ptr<Memory> memory;
  const Place* place;
};

PyTypeObject* exporter_type = nullptr;

Exporter& exporter_of(PyObject* self) { return *reinterpret_cast<Exporter*>(self); }

int give_buffer(PyObject* self, Py_buffer* buffer, int flags) {
  static char nothing = 0;  // an empty section has no address; some users of buffers take none for an error
  const Exporter& exporter = exporter_of(self);
  Memory& memory = *exporter.memory;
  if (memory.ended) {
    PyErr_SetString(PyExc_BufferError, "the checkpoint was ended, its memory is not there any more");
    return -1;
  }
  void* const data = exporter.place->size == 0 ? static_cast<void*>(&nothing) : exporter.place->data;
  const auto size = static_cast<Py_ssize_t>(exporter.place->size);
  if (PyBuffer_FillInfo(buffer, self, data, size, memory.read_only() ? 1 : 0, flags) != 0) return -1;
  ++memory.views;
  return 0;
}

void take_buffer_back(PyObject* self, Py_buffer*) {
  const std::shared_ptr<Memory> memory = exporter_of(self).memory;
  if (--memory->views == 0 && memory->ended) without_lock([&] { memory->release(); });
}

void deallocate(PyObject* self) {
  PyTypeObject* const type = Py_TYPE(self);
  exporter_of(self).memory.~shared_ptr();
  type->tp_free(self);
  Py_DECREF(type);
}

}  // namespace

void end(Memory& memory) {
  if (std::exchange(memory.ended, true) || memory.views > 0) return;
  without_lock([&] { memory.release(); });
}

py::object view(const std::shared_ptr<Memory>& memory, const std::string& section) {
  if (memory->ended) throw rk::Failure(RK_ERR_INVALID_ARGUMENT, "the checkpoint was ended: it has no memory any more");
  const Place& place = memory->place(section);
  auto* const exporter = PyObject_New(Exporter, exporter_type);
  if (exporter == nullptr) throw py::error_already_set();
  new (&exporter->memory) std::shared_ptr<Memory>(memory);
  exporter->place = &place;
  const auto owner = py::reinterpret_steal<py::object>(reinterpret_cast<PyObject*>(exporter));
  auto out = py::reinterpret_steal<py::object>(PyMemoryView_FromObject(owner.ptr()));
  if (!out) throw py::error_already_set();
  return out;
}

void make_view_type() {
  PyType_Slot slots[] = {{Py_tp_dealloc, reinterpret_cast<void*>(deallocate)},
                         {Py_bf_getbuffer, reinterpret_cast<void*>(give_buffer)},
                         {Py_bf_releasebuffer, reinterpret_cast<void*>(take_buffer_back)},
                         {0, nullptr}};
  PyType_Spec spec{"ringkeep._ringkeep.SectionMemory", sizeof(Exporter), 0,
                   Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots};
  exporter_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&spec));
  if (exporter_type == nullptr) throw py::error_already_set();
}

}  // namespace rk::python
