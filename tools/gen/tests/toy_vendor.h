// What the vendor of the made-up library "toy" would ship: the other side of its parity test.
#pragma once

#include <stddef.h>
#include <stdint.h>

#define TOY_OK 0
#define TOY_ERROR_VALUE -1
#define TOY_ERROR_MEMORY -2
#define TOY_ERROR_UNSUPPORTED -3
#define TOY_ERROR_OTHER -4
#define TOY_ERROR_NO_CARD -5
#define TOY_CARD_NAME 1
#define TOY_CARD_PARENT 2
#define TOY_PROPERTY_CARD 0x10

typedef int toy_status;
typedef unsigned int toy_u32;
typedef unsigned long toy_memory;
typedef long toy_property;
typedef enum { kToyName = 1 } toy_question;
typedef struct toy_card_s* toy_card;
typedef struct toy_context_s* toy_context;
typedef struct toy_module_s* toy_module;
typedef struct toy_grid_s {
  size_t count[3];
  toy_u32 shared_bytes;
  toy_u32 flags;
} toy_grid;
typedef struct toy_label_s {
  union {
    size_t number;
    char text[24];
  } name;
} toy_label;

typedef struct toy_dispatch {
  toy_status (*toyListCards)(toy_u32, toy_card*, toy_u32*);
  toy_status (*toyAsk)(toy_card, toy_question, size_t, void*, size_t*);
  toy_context (*toyCreateContext)(const toy_property*, void (*)(const char*, void*), void*,
                                  toy_status*);
  toy_status (*toyAlloc)(toy_context, toy_memory*, size_t);
  toy_status (*toyFree)(toy_memory);
  void* toyWindowsOnly;
  toy_module (*toyLoad)(toy_context, toy_u32, const char**, const size_t*, const unsigned char**,
                        const size_t*, const char*, toy_status*);
  toy_status (*toyLaunch)(toy_module, const toy_grid*, toy_u32*);
} toy_dispatch;

extern "C" {
toy_status toyCopyRect(toy_memory, const void*, const size_t*, size_t);
void toySync(toy_context);
void* toyMap(toy_memory);
void* toyLookUp(const char*);
toy_u32 toyVersionEXT(void);
}
