// Opens a connection for a client: name, TCP, TLS.
#pragma once

#include <functional>
#include <memory>

#include "base/result.h"
#include "net/client.h"
#include "net/event_loop.h"
#include "net/transport.h"

namespace shoal::net {

// Calls back once, from the loop. The addresses of a name are tried one after the other. When the
// returned handle is destroyed before that, the attempt is given up without a call.
std::shared_ptr<void> Connect(EventLoop& loop, const Url& url, const TlsClientOptions& tls,
                              Duration timeout,
                              std::function<void(Result<std::unique_ptr<Transport>>)> done);

}  // namespace shoal::net
