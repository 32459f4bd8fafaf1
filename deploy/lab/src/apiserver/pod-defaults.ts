/** Defaults of pods and pod templates (k8s.io/kubernetes/pkg/apis/core/v1/defaults.go). */
import { at, isObject, type JsonObject, type KubeObject, objectOf, objectsOf, setDefault, stringOf } from './json.ts';

function probeDefaults(probe: unknown): void {
  if (!isObject(probe)) return;
  setDefault(probe, 'timeoutSeconds', 1);
  setDefault(probe, 'periodSeconds', 10);
  setDefault(probe, 'successThreshold', 1);
  setDefault(probe, 'failureThreshold', 3);
  if (isObject(probe['httpGet'])) {
    setDefault(probe['httpGet'], 'path', '/');
    setDefault(probe['httpGet'], 'scheme', 'HTTP');
  }
}

function containerDefaults(container: JsonObject, hostNetwork: boolean): void {
  const image = stringOf(container['image']) ?? '';
  const tag = /:([^/:@]+)$/.exec(image)?.[1];
  setDefault(container, 'resources', {});
  setDefault(container, 'terminationMessagePath', '/dev/termination-log');
  setDefault(container, 'terminationMessagePolicy', 'File');
  setDefault(
    container,
    'imagePullPolicy',
    !image.includes('@') && (tag === undefined || tag === 'latest') ? 'Always' : 'IfNotPresent',
  );
  for (const port of objectsOf(container['ports'])) {
    setDefault(port, 'protocol', 'TCP');
    if (hostNetwork) setDefault(port, 'hostPort', port['containerPort']);
  }
  for (const variable of objectsOf(container['env'])) {
    const reference = at(variable, 'valueFrom', 'fieldRef');
    if (isObject(reference)) setDefault(reference, 'apiVersion', 'v1');
  }
  for (const probe of ['livenessProbe', 'readinessProbe', 'startupProbe']) probeDefaults(container[probe]);
}

/** Fills in a PodSpec, of a pod or of a template. */
export function podSpecDefaults(spec: JsonObject): void {
  setDefault(spec, 'restartPolicy', 'Always');
  setDefault(spec, 'terminationGracePeriodSeconds', 30);
  setDefault(spec, 'dnsPolicy', 'ClusterFirst');
  setDefault(spec, 'securityContext', {});
  setDefault(spec, 'schedulerName', 'default-scheduler');
  const account = stringOf(spec['serviceAccountName']) ?? stringOf(spec['serviceAccount']);
  if (account !== undefined && account !== '') {
    spec['serviceAccountName'] = account;
    spec['serviceAccount'] = account;
  }
  for (const key of ['containers', 'initContainers', 'ephemeralContainers']) {
    for (const container of objectsOf(spec[key])) containerDefaults(container, spec['hostNetwork'] === true);
  }
  for (const volume of objectsOf(spec['volumes'])) {
    if (Object.keys(volume).length === 1) volume['emptyDir'] = {};
    for (const kind of ['configMap', 'secret', 'projected', 'downwardAPI']) {
      if (isObject(volume[kind])) setDefault(volume[kind], 'defaultMode', 420);
    }
    if (isObject(volume['hostPath'])) setDefault(volume['hostPath'], 'type', '');
  }
}

/** Tolerations that every pod gets (admission plugin DefaultTolerationSeconds). */
function defaultTolerations(spec: JsonObject): void {
  const present = objectsOf(spec['tolerations']);
  const added: JsonObject[] = [];
  for (const key of ['node.kubernetes.io/not-ready', 'node.kubernetes.io/unreachable']) {
    const tolerated = present.some(
      (item) =>
        (item['key'] === key || item['key'] === undefined || item['key'] === '') &&
        (item['effect'] === 'NoExecute' || item['effect'] === undefined || item['effect'] === ''),
    );
    if (!tolerated) added.push({ key, operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 300 });
  }
  if (added.length > 0) spec['tolerations'] = [...present, ...added];
}

function quantities(pod: KubeObject, kind: 'requests' | 'limits'): JsonObject[] {
  return [...objectsOf(at(pod, 'spec', 'containers')), ...objectsOf(at(pod, 'spec', 'initContainers'))].map(
    (container) => objectOf(at(container, 'resources', kind)),
  );
}

/** Quality of service, from the resources (k8s.io/kubernetes/pkg/apis/core/helper/qos). */
function qosClass(pod: KubeObject): string {
  const requests = quantities(pod, 'requests');
  const limits = quantities(pod, 'limits');
  const names = ['cpu', 'memory'];
  if (![...requests, ...limits].some((item) => names.some((name) => item[name] !== undefined))) return 'BestEffort';
  const guaranteed = limits.every((limit, index) =>
    names.every((name) => limit[name] !== undefined && (requests[index]?.[name] ?? limit[name]) === limit[name]),
  );
  return guaranteed ? 'Guaranteed' : 'Burstable';
}

/** Fills in a new pod: its spec, what admission adds, and its first status. */
export function podDefaults(pod: KubeObject): void {
  const spec = objectOf(pod['spec']);
  pod['spec'] = spec;
  podSpecDefaults(spec);
  setDefault(spec, 'enableServiceLinks', true);
  setDefault(spec, 'preemptionPolicy', 'PreemptLowerPriority');
  setDefault(spec, 'priority', 0);
  setDefault(spec, 'serviceAccountName', 'default');
  setDefault(spec, 'serviceAccount', spec['serviceAccountName']);
  for (const container of [...objectsOf(spec['containers']), ...objectsOf(spec['initContainers'])]) {
    const resources = objectOf(container['resources']);
    if (isObject(resources['limits']))
      resources['requests'] = { ...resources['limits'], ...objectOf(resources['requests']) };
  }
  defaultTolerations(spec);
  pod['status'] = { phase: 'Pending', qosClass: qosClass(pod) };
}
