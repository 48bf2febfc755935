// The no-op model of the Triton row: a Triton backend in C that gives each request its first input back as the output OUTPUT0.
//
// It is the cheapest model Triton can serve: no Python, no libtorch, one copy of the tensor, the statistics every backend is asked
// to report, and nothing else, so that what is measured is Triton's own shell. The wheel brings no C headers, so the few
// declarations used here are written out; they are those of the backend API's major version 1.
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

typedef struct TRITONSERVER_Error Error;
typedef struct TRITONBACKEND_Input Input;
typedef struct TRITONBACKEND_Instance Instance;
typedef struct TRITONBACKEND_Output Output;
typedef struct TRITONBACKEND_Request Request;
typedef struct TRITONBACKEND_Response Response;

enum { DONE_WITH_RESPONSE = 1, RELEASE_ALL = 1, HOST_MEMORY = 0 };

Error* TRITONBACKEND_RequestInputByIndex(Request*, uint32_t, Input**);
Error* TRITONBACKEND_InputProperties(
    Input*, const char**, int*, const int64_t**, uint32_t*, uint64_t*, uint32_t*);
Error* TRITONBACKEND_InputBuffer(Input*, uint32_t, const void**, uint64_t*, int*, int64_t*);
Error* TRITONBACKEND_ResponseNew(Response**, Request*);
Error* TRITONBACKEND_ResponseOutput(Response*, Output**, const char*, int, const int64_t*, uint32_t);
Error* TRITONBACKEND_OutputBuffer(Output*, void**, uint64_t, int*, int64_t*);
Error* TRITONBACKEND_ResponseSend(Response*, uint32_t, Error*);
Error* TRITONBACKEND_RequestRelease(Request*, uint32_t);
Error* TRITONBACKEND_ModelInstanceReportStatistics(
    Instance*, Request*, bool, uint64_t, uint64_t, uint64_t, uint64_t);
Error* TRITONBACKEND_ModelInstanceReportBatchStatistics(
    Instance*, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t);

static uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

// Copies the tensor's pieces one after the other; returns the first error, or NULL.
static Error* copy_tensor(Input* input, uint32_t pieces, char* to) {
  for (uint32_t i = 0; i < pieces; i++) {
    const void* from;
    uint64_t bytes;
    int memory = HOST_MEMORY;
    int64_t device = 0;
    Error* error = TRITONBACKEND_InputBuffer(input, i, &from, &bytes, &memory, &device);
    if (error) return error;
    memcpy(to, from, bytes);
    to += bytes;
  }
  return NULL;
}

static Error* echo(Request* request, Response* response) {
  Input* input;
  Output* output;
  int datatype, memory = HOST_MEMORY;
  const int64_t* shape;
  uint32_t rank, pieces;
  uint64_t bytes;
  int64_t device = 0;
  void* to;
  Error* error = TRITONBACKEND_RequestInputByIndex(request, 0, &input);
  if (!error) error = TRITONBACKEND_InputProperties(input, NULL, &datatype, &shape, &rank, &bytes, &pieces);
  if (!error) error = TRITONBACKEND_ResponseOutput(response, &output, "OUTPUT0", datatype, shape, rank);
  if (!error) error = TRITONBACKEND_OutputBuffer(output, &to, bytes, &memory, &device);
  if (!error) error = copy_tensor(input, pieces, to);
  return error;
}

Error* TRITONBACKEND_ModelInstanceExecute(Instance* instance, Request** requests, uint32_t count) {
  uint64_t start = now_ns();
  for (uint32_t i = 0; i < count; i++) {
    Response* response;
    Error* error = TRITONBACKEND_ResponseNew(&response, requests[i]);
    if (error) return error;
    error = echo(requests[i], response);
    TRITONBACKEND_ResponseSend(response, DONE_WITH_RESPONSE, error);
    uint64_t end = now_ns();
    TRITONBACKEND_ModelInstanceReportStatistics(instance, requests[i], error == NULL, start, start, end, end);
    TRITONBACKEND_RequestRelease(requests[i], RELEASE_ALL);
  }
  uint64_t end = now_ns();
  TRITONBACKEND_ModelInstanceReportBatchStatistics(instance, count, start, start, end, end);
  return NULL;
}
