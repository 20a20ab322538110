#include "wire/field_types.h"

namespace shoal::wire {

void FieldVisitor::Show(const char* name, const FieldType& type, void* value) {
  Field(name, type, value);
}

}  // namespace shoal::wire
