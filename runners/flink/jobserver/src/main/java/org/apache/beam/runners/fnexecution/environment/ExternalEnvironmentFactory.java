package org.apache.beam.runners.fnexecution.environment;

import java.time.Duration;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.apache.beam.model.fnexecution.v1.BeamFnApi.StartWorkerRequest;
import org.apache.beam.model.fnexecution.v1.BeamFnApi.StopWorkerRequest;
import org.apache.beam.model.fnexecution.v1.BeamFnExternalWorkerPoolGrpc;
import org.apache.beam.model.pipeline.v1.RunnerApi.Environment;
import org.apache.beam.model.pipeline.v1.RunnerApi.ExternalPayload;
import org.apache.beam.runners.fnexecution.artifact.ArtifactRetrievalService;
import org.apache.beam.runners.fnexecution.control.ControlClientPool;
import org.apache.beam.runners.fnexecution.control.FnApiControlClientPoolService;
import org.apache.beam.runners.fnexecution.control.InstructionRequestHandler;
import org.apache.beam.runners.fnexecution.logging.GrpcLoggingService;
import org.apache.beam.runners.fnexecution.provisioning.StaticGrpcProvisionService;
import org.apache.beam.sdk.fn.IdGenerator;
import org.apache.beam.sdk.fn.channel.ManagedChannelFactory;
import org.apache.beam.sdk.fn.server.GrpcFnServer;
import org.apache.beam.vendor.grpc.v1p60p1.io.grpc.ManagedChannel;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Takes the place of Beam 2.62's class of this name in the job server: where a start is given up, the worker ends.
 *
 * <p>A task that is cancelled while its worker starts waits for it no longer. Beam's class then leaves the worker, and
 * the servers that it reports to, behind for as long as the task manager lives.
 */
public class ExternalEnvironmentFactory implements EnvironmentFactory {

  private static final Logger LOG = LoggerFactory.getLogger(ExternalEnvironmentFactory.class);
  private static final Duration WAIT = Duration.ofMinutes(2);
  // Beam's pool kills a worker that has not ended ten seconds after it was asked to.
  private static final long STOP_SECONDS = 20;

  private final GrpcFnServer<FnApiControlClientPoolService> control;
  private final GrpcFnServer<GrpcLoggingService> logging;
  private final GrpcFnServer<ArtifactRetrievalService> retrieval;
  private final GrpcFnServer<StaticGrpcProvisionService> provisioning;
  private final ControlClientPool.Source connected;

  private ExternalEnvironmentFactory(
      GrpcFnServer<FnApiControlClientPoolService> control,
      GrpcFnServer<GrpcLoggingService> logging,
      GrpcFnServer<ArtifactRetrievalService> retrieval,
      GrpcFnServer<StaticGrpcProvisionService> provisioning,
      ControlClientPool.Source connected) {
    this.control = control;
    this.logging = logging;
    this.retrieval = retrieval;
    this.provisioning = provisioning;
    this.connected = connected;
  }

  /** Has the pool of the environment start a worker, and returns once that one has connected. */
  @Override
  public RemoteEnvironment createEnvironment(Environment environment, String workerId) throws Exception {
    ExternalPayload payload = ExternalPayload.parseFrom(environment.getPayload());
    ManagedChannel pool = ManagedChannelFactory.createDefault().forDescriptor(payload.getEndpoint());
    try {
      start(pool, payload, workerId);
      return new Worker(environment, workerId, handler(payload, workerId), pool);
    } catch (InterruptedException given) {
      giveUp(pool, workerId);
      Thread.currentThread().interrupt();
      throw new RuntimeException(given);
    } catch (RuntimeException failure) {
      boolean interrupted = Thread.interrupted(); // gRPC makes no call for an interrupted thread
      giveUp(pool, workerId);
      if (interrupted) {
        Thread.currentThread().interrupt();
      }
      throw failure;
    }
  }

  private void start(ManagedChannel pool, ExternalPayload payload, String workerId) {
    StartWorkerRequest request =
        StartWorkerRequest.newBuilder()
            .setWorkerId(workerId)
            .setControlEndpoint(control.getApiServiceDescriptor())
            .setLoggingEndpoint(logging.getApiServiceDescriptor())
            .setArtifactEndpoint(retrieval.getApiServiceDescriptor())
            .setProvisionEndpoint(provisioning.getApiServiceDescriptor())
            .putAllParams(payload.getParamsMap())
            .build();
    String error = BeamFnExternalWorkerPoolGrpc.newBlockingStub(pool).startWorker(request).getError();
    if (!error.isEmpty()) {
      throw new RuntimeException(error);
    }
  }

  private InstructionRequestHandler handler(ExternalPayload payload, String workerId) throws InterruptedException {
    while (true) {
      try {
        return connected.take(workerId, WAIT);
      } catch (TimeoutException none) {
        LOG.info("Worker {} of {} has not connected yet", workerId, payload.getEndpoint().getUrl());
      } catch (InterruptedException | RuntimeException given) {
        throw given;
      } catch (Exception failure) {
        throw new RuntimeException(failure);
      }
    }
  }

  /** Nobody else knows these servers yet: they were made for this worker. */
  private void giveUp(ManagedChannel pool, String workerId) {
    LOG.info("Worker {} is not waited for any longer", workerId);
    for (GrpcFnServer<?> server : List.of(control, provisioning, retrieval, logging)) {
      try {
        server.getServer().shutdownNow();
        server.close();
      } catch (Exception failure) {
        LOG.warn("Closing a server of worker {}", workerId, failure);
      }
    }
    try {
      stop(pool, workerId);
    } catch (RuntimeException failure) {
      LOG.warn("Stopping worker {}", workerId, failure);
    } finally {
      pool.shutdownNow();
    }
  }

  private static void stop(ManagedChannel pool, String workerId) {
    StopWorkerRequest request = StopWorkerRequest.newBuilder().setWorkerId(workerId).build();
    String error =
        BeamFnExternalWorkerPoolGrpc.newBlockingStub(pool)
            .withDeadlineAfter(STOP_SECONDS, TimeUnit.SECONDS)
            .stopWorker(request)
            .getError();
    if (!error.isEmpty()) {
      throw new RuntimeException(error);
    }
  }

  /** A worker that has connected; the runner closes it, and the servers. */
  private static class Worker implements RemoteEnvironment {
    private final Environment environment;
    private final String id;
    private final InstructionRequestHandler handler;
    private final ManagedChannel pool;

    Worker(Environment environment, String id, InstructionRequestHandler handler, ManagedChannel pool) {
      this.environment = environment;
      this.id = id;
      this.handler = handler;
      this.pool = pool;
    }

    @Override
    public Environment getEnvironment() {
      return environment;
    }

    @Override
    public InstructionRequestHandler getInstructionRequestHandler() {
      return handler;
    }

    @Override
    public void close() throws Exception {
      try {
        handler.close();
        stop(pool, id);
      } finally {
        pool.shutdownNow();
      }
    }
  }

  /** What the runner makes the factory with, for each worker anew. */
  public static class Provider implements EnvironmentFactory.Provider {
    @Override
    public EnvironmentFactory createEnvironmentFactory(
        GrpcFnServer<FnApiControlClientPoolService> control,
        GrpcFnServer<GrpcLoggingService> logging,
        GrpcFnServer<ArtifactRetrievalService> retrieval,
        GrpcFnServer<StaticGrpcProvisionService> provisioning,
        ControlClientPool clients,
        IdGenerator ids) {
      return new ExternalEnvironmentFactory(control, logging, retrieval, provisioning, clients.getSource());
    }
  }
}
