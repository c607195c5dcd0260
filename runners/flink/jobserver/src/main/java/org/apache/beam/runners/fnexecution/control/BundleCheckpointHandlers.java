package org.apache.beam.runners.fnexecution.control;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.UUID;
import org.apache.beam.model.fnexecution.v1.BeamFnApi.DelayedBundleApplication;
import org.apache.beam.model.fnexecution.v1.BeamFnApi.ProcessBundleResponse;
import org.apache.beam.runners.core.StateInternals;
import org.apache.beam.runners.core.StateInternalsFactory;
import org.apache.beam.runners.core.StateNamespace;
import org.apache.beam.runners.core.StateNamespaces;
import org.apache.beam.runners.core.StateTags;
import org.apache.beam.runners.core.TimerInternals;
import org.apache.beam.runners.core.TimerInternalsFactory;
import org.apache.beam.sdk.coders.Coder;
import org.apache.beam.sdk.state.TimeDomain;
import org.apache.beam.sdk.transforms.windowing.BoundedWindow;
import org.apache.beam.sdk.util.CoderUtils;
import org.apache.beam.sdk.util.WindowedValue;
import org.joda.time.Instant;

/**
 * Takes the place of Beam 2.62's class of this name in the job server: what a splittable DoFn leaves for later is kept
 * under a few names that are used again.
 *
 * <p>Beam before 2.76 makes a new state name for each residual and never clears it, so that the checkpoints of a job
 * that polls grow for ever (apache/beam#27648). It also cuts watermarks and delays down to whole seconds.
 */
public class BundleCheckpointHandlers {

  private BundleCheckpointHandlers() {}

  /** Keeps each residual in a value state and sets a timer of the same name, with which the runner takes it up again. */
  public static class StateAndTimerBundleCheckpointHandler<T> implements BundleCheckpointHandler {

    /** By this the runner tells its timers from those of users. */
    public static final String SDF_PREFIX = "sdf_checkpoint";

    /**
     * The names whose timers fired in this thread and whose residuals were handed to a bundle. The runner asks for each
     * timer with isSdfTimer, and calls onCheckpoint in the same thread; a splittable DoFn is the head of its chain, so
     * that a thread has one handler.
     */
    private static final ThreadLocal<Set<String>> FIRED = ThreadLocal.withInitial(HashSet::new);

    // A hold at the time of the timer itself is handed on in a callback of that millisecond, which must run first.
    private static final long PAUSE_MILLIS = 2;

    private final TimerInternalsFactory<T> timers;
    private final StateInternalsFactory<T> states;
    private final Coder<WindowedValue<T>> residualCoder;
    private final Coder<BoundedWindow> windowCoder;
    // Names of the run before a restore may still have timers, so no run uses those of another.
    private final String run = UUID.randomUUID().toString().substring(0, 8);
    private final Map<String, Kept<T>> kept = new HashMap<>();
    private final Deque<String> free = new ArrayDeque<>();
    private int names = 0;

    @SuppressWarnings({"rawtypes", "unchecked"}) // the runner calls it with a raw coder of windows
    public StateAndTimerBundleCheckpointHandler(
        TimerInternalsFactory<T> timers,
        StateInternalsFactory<T> states,
        Coder<WindowedValue<T>> residualCoder,
        Coder windowCoder) {
      this.timers = timers;
      this.states = states;
      this.residualCoder = residualCoder;
      this.windowCoder = windowCoder;
    }

    /** Whether a timer is one of a residual; the runner reads its state right after. */
    public static boolean isSdfTimer(String timerId) {
      return timerId.startsWith(SDF_PREFIX) && (FIRED.get().add(timerId) || true);
    }

    @Override
    public void onCheckpoint(ProcessBundleResponse response) {
      List<String> unknown = release();
      for (DelayedBundleApplication residual : response.getResidualRootsList()) {
        if (residual.hasApplication()) {
          try {
            keep(residual, unknown);
          } catch (Exception error) {
            throw new RuntimeException("A residual could not be kept", error);
          }
        }
      }
    }

    /** Frees the names that fired; returns those of a run before, which are cleared with the next residual. */
    private List<String> release() {
      List<String> unknown = new ArrayList<>();
      for (String name : FIRED.get()) {
        Kept<T> one = kept.remove(name);
        if (one == null) {
          unknown.add(name);
        } else {
          clear(one.key, one.namespace, name);
          free.addLast(name);
        }
      }
      FIRED.get().clear();
      return unknown;
    }

    private void keep(DelayedBundleApplication residual, List<String> unknown) throws Exception {
      byte[] element = residual.getApplication().getElement().toByteArray();
      WindowedValue<T> value = CoderUtils.decodeFromByteArray(residualCoder, element);
      T key = value.getValue();
      for (BoundedWindow window : value.getWindows()) {
        StateNamespace namespace = StateNamespaces.window(windowCoder, window);
        unknown.forEach(name -> clear(key, namespace, name));
        String name = free.isEmpty() ? SDF_PREFIX + ":" + run + ":" + names++ : free.removeFirst();
        WindowedValue<T> alone = WindowedValue.of(key, value.getTimestamp(), window, value.getPane());
        TimerInternals timer = timers.timerInternalsForKey(key);
        timer.setTimer(namespace, name, "", due(residual), hold(residual), TimeDomain.PROCESSING_TIME);
        states.stateInternalsForKey(key).state(namespace, StateTags.value(name, residualCoder)).write(alone);
        kept.put(name, new Kept<>(key, namespace));
      }
    }

    private void clear(T key, StateNamespace namespace, String name) {
      StateInternals state = states.stateInternalsForKey(key);
      state.state(namespace, StateTags.value(name, residualCoder)).clear();
    }

    private static Instant due(DelayedBundleApplication residual) {
      Instant now = Instant.now();
      if (!residual.hasRequestedTimeDelay()) {
        return now.plus(PAUSE_MILLIS);
      }
      var delay = residual.getRequestedTimeDelay();
      return now.plus(Math.max(PAUSE_MILLIS, delay.getSeconds() * 1000 + delay.getNanos() / 1_000_000));
    }

    /** The least watermark of the residual's outputs; without any, nothing is known. */
    private static Instant hold(DelayedBundleApplication residual) {
      return residual.getApplication().getOutputWatermarksMap().values().stream()
          .map(one -> Instant.ofEpochMilli(one.getSeconds() * 1000 + one.getNanos() / 1_000_000))
          .min(Instant::compareTo)
          .orElse(BoundedWindow.TIMESTAMP_MIN_VALUE);
    }

    /** Where a residual's state is. */
    private static final class Kept<T> {
      private final T key;
      private final StateNamespace namespace;

      private Kept(T key, StateNamespace namespace) {
        this.key = key;
        this.namespace = namespace;
      }
    }
  }
}
